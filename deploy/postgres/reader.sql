-- Makes the role `modelwatch_reader`, which may read the views of docs/sql.md and nothing else. May be run again.
-- psql --file=reader.sql --set=password=... "postgresql://modelwatch:...@host/modelwatch"
\set ON_ERROR_STOP on
SELECT 'CREATE ROLE modelwatch_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'modelwatch_reader')
\gexec
ALTER ROLE modelwatch_reader LOGIN PASSWORD :'password' CONNECTION LIMIT 20;
ALTER ROLE modelwatch_reader SET default_transaction_read_only = on;
ALTER ROLE modelwatch_reader SET statement_timeout = '30s';
GRANT USAGE ON SCHEMA public TO modelwatch_reader;
SELECT format('GRANT SELECT ON %I TO modelwatch_reader', viewname) FROM pg_views
WHERE schemaname = 'public' AND viewname LIKE 'modelwatch\_%'
\gexec
