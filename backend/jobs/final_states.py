"""A trigger of the database: a job that has ended cannot change, whoever writes."""

from __future__ import annotations

from sqlalchemy import Connection

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS terminal_is_final BEFORE UPDATE OF status ON jobs
WHEN OLD.status IN ('succeeded', 'failed', 'canceled', 'expired')
 AND NEW.status NOT IN (OLD.status, 'expired')
BEGIN SELECT RAISE(ABORT, 'a job that has ended cannot change'); END
"""
_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a job that has ended cannot change' USING ERRCODE = 'check_violation';
END $$
"""
_POSTGRES = """
CREATE TRIGGER terminal_is_final BEFORE UPDATE OF status ON jobs FOR EACH ROW
WHEN (OLD.status IN ('succeeded', 'failed', 'canceled', 'expired')
 AND NEW.status NOT IN (OLD.status, 'expired'))
EXECUTE FUNCTION refuse_change_of_ended_job()
"""
_POSTGRES_HAS = """
SELECT 1 FROM pg_trigger WHERE tgname = 'terminal_is_final' AND tgrelid = 'jobs'::regclass
"""


def guard_final_states(connection: Connection) -> None:
    """Create the trigger if it is missing; its refusal is an ``IntegrityError``.

    Other databases than SQLite and PostgreSQL have none; there the fence of claims must do.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_SQLITE)
    # Creating it anew at every start would wait for all who write jobs at that moment.
    if connection.dialect.name == "postgresql" and not _is_there(connection):
        connection.exec_driver_sql(_POSTGRES_FUNCTION)
        connection.exec_driver_sql(_POSTGRES)


def _is_there(connection: Connection) -> bool:
    return connection.exec_driver_sql(_POSTGRES_HAS).first() is not None
