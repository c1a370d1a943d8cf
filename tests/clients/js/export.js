// Exports with OpenTelemetry's own JavaScript exporters, as it is told to on standard input, one JSON object a line:
//   {"id", "signal", "transport", "endpoint", "prefix", "count", "invalid", "timeoutMs", "compression", "headers"}
// and tells on standard output what each exporter's callback reported, in the order in which they finish:
//   {"id", "isSuccess", "error"?, "warnings": [...]}
"use strict";
const readline = require("node:readline");
const { AsyncLocalStorage } = require("node:async_hooks");
const { diag, DiagLogLevel } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const traces = require("@opentelemetry/sdk-trace");
const metrics = require("@opentelemetry/sdk-metrics");
const logs = require("@opentelemetry/sdk-logs");

const EXPORTERS = {
  traces: { package: "trace", name: "OTLPTraceExporter", path: "/v1/traces" },
  metrics: { package: "metrics", name: "OTLPMetricExporter", path: "/v1/metrics" },
  logs: { package: "logs", name: "OTLPLogExporter", path: "/v1/logs" },
};
const PACKAGES = { grpc: "grpc", "http/json": "http", "http/protobuf": "proto" };
const GRACE_MS = 5000;

// What the exporters log while one command runs: a partial success is only a warning to them.
const running = new AsyncLocalStorage();
const ignore = () => {};
const warn = (...words) => running.getStore()?.push(words.map(String).join(" "));
diag.setLogger({ error: warn, warn, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN);

const resource = resourceFromAttributes({ "service.name": "javascript" });

const MAKE = {
  traces(names, invalid) {
    const memory = new traces.InMemorySpanExporter();
    const provider = new traces.TracerProvider({ resource, spanProcessors: [new traces.SimpleSpanProcessor({ exporter: memory })] });
    for (const name of names) provider.getTracer("tests").startSpan(name).end();
    const spans = memory.getFinishedSpans();
    for (const span of spans.slice(0, invalid)) {
      const context = { ...span.spanContext(), traceId: "0".repeat(32) };
      span.spanContext = () => context;
    }
    return spans;
  },
  async metrics(names) {
    const reader = new (class extends metrics.MetricReader {
      async onForceFlush() {}
      async onShutdown() {}
    })();
    const counter = new metrics.MeterProvider({ resource, readers: [reader] }).getMeter("tests").createCounter("calls");
    for (const name of names) counter.add(1, { item: name });
    return (await reader.collect()).resourceMetrics;
  },
  logs(names) {
    const memory = new logs.InMemoryLogRecordExporter();
    const processors = [new logs.SimpleLogRecordProcessor({ exporter: memory })];
    const logger = new logs.LoggerProvider({ resource, processors }).getLogger("tests");
    for (const name of names) logger.emit({ body: name, severityNumber: 9 });
    return memory.getFinishedLogRecords();
  },
};

function makeExporter({ signal, transport, endpoint, timeoutMs, compression, headers }) {
  const { package: part, name, path } = EXPORTERS[signal];
  const Exporter = require(`@opentelemetry/exporter-${part}-otlp-${PACKAGES[transport]}`)[name];
  const options = { timeoutMillis: timeoutMs, compression };
  if (transport !== "grpc") return new Exporter({ ...options, url: endpoint + path, headers });
  const { Metadata } = require("@grpc/grpc-js");
  return new Exporter({ ...options, url: endpoint, metadata: Metadata.fromHttp2Headers(headers) });
}

async function run(command) {
  const warnings = [];
  const result = await running.run(warnings, async () => {
    const names = Array.from({ length: command.count }, (_, at) => `${command.prefix} ${at}`);
    const items = await MAKE[command.signal](names, command.invalid);
    const exporter = makeExporter(command);
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, command.timeoutMs + GRACE_MS, { code: 1, error: new Error("no callback") });
    });
    const answer = await Promise.race([new Promise((resolve) => exporter.export(items, resolve)), late]);
    clearTimeout(timer);
    await exporter.shutdown();
    return answer;
  });
  const { code, error } = result;
  return { id: command.id, isSuccess: code === 0, error: error && String(error.message), warnings };
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line);
  const broken = (error) => ({ id: command.id, isSuccess: false, error: error.stack, warnings: [] });
  const answer = await run(command).catch(broken);
  process.stdout.write(JSON.stringify(answer) + "\n");
});
