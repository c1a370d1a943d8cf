# One image for every role: `modelwatch ROLE` is its command. The stage `demo` adds the demo's model APIs and traffic.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
# Installed by tools in an environment of their own, so that the image has neither pip nor a compiler of packages.
RUN python3 -m venv /build/tools && python3 -m venv --without-pip /opt/modelwatch
ENV PIP="/build/tools/bin/pip --disable-pip-version-check" INTO="--python /opt/modelwatch/bin/python install --no-cache-dir"
COPY requirements/build.txt requirements/runtime.txt /build/requirements/
RUN $PIP install --no-cache-dir --require-hashes -r /build/requirements/build.txt \
    && $PIP $INTO --require-hashes -r /build/requirements/runtime.txt
COPY . /build/
RUN $PIP wheel --no-deps --no-build-isolation --no-cache-dir --wheel-dir /build/wheels /build /build/instrumentation \
    && $PIP $INTO --no-deps /build/wheels/modelwatch-*.whl \
    && /build/deploy/slim.sh /opt/modelwatch

FROM packages AS demo-packages
RUN $PIP $INTO --require-hashes -r /build/requirements/demo.txt \
    && $PIP $INTO --no-deps /build/wheels/modelwatch_instrumentation-*.whl

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 modelwatch \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/modelwatch --shell /usr/sbin/nologin modelwatch \
    && install -d -o modelwatch -g modelwatch /var/lib/modelwatch
ENV PATH=/opt/modelwatch/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MODELWATCH_DATA_DIR=/var/lib/modelwatch
USER 10001:10001
WORKDIR /var/lib/modelwatch
VOLUME /var/lib/modelwatch

FROM base AS demo
COPY --from=demo-packages /opt/modelwatch /opt/modelwatch
COPY examples /opt/demo/examples
WORKDIR /opt/demo
ENTRYPOINT []
CMD ["python", "-m", "examples.traffic", "--help"]

FROM base AS modelwatch
COPY --from=packages /opt/modelwatch /opt/modelwatch
ENTRYPOINT ["modelwatch"]
CMD ["up"]
