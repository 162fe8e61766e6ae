"""Fills a store with requests of 90 days and times what reads them, for bench/ledger-rows."""

import argparse
import datetime
import json
import os
import pathlib
import sqlite3
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

DAYS = 90
KEYS, TEAMS, USERS, CUSTOMERS, GROUPS, SETS = 1_000, 50, 200, 5_000, 4, 1_500
FAILED = 200  # one in so many

TODAY = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
END = int(TODAY.timestamp() * 1000)
START = END - DAYS * 86_400_000


def key(number):
    return f"{number:064x}"


def terms():
    """Every text with its number, by what it stands for."""
    names = {
        "key": [key(at) for at in range(KEYS)],
        "team": [f"team-{at}" for at in range(TEAMS)],
        "user": [f"user-{at}" for at in range(USERS)],
        "organization": [f"organization-{at}" for at in range(10)],
        "customer": [f"customer-{at}" for at in range(CUSTOMERS)],
        "group": [f"group-{at}" for at in range(GROUPS)],
        "deployment": [f"deployment-{at}" for at in range(2 * GROUPS)],
        "provider": ["openai", "azure"],
        "model": [f"openai/model-{at}" for at in range(2 * GROUPS)],
        "tag": ["env:prod"] + [f"feature:{at}" for at in range(30)] + [f"customer:{at}" for at in range(1_000)],
    }
    first, number = {}, 1
    for kind, texts in names.items():
        first[kind] = number
        number += len(texts)
    return names, first


NAMES, FIRST = terms()

# Of request {n}: a key has 5 customers, and what stands above it; a customer carries one of 3 sets of tags.
KEY, CUSTOMER_OF_KEY, GROUP = "({n} * 7919 % 1000)", "({n} / 7 % 5)", "({n} / 3 % 4)"
CUSTOMER = f"({KEY} * 5 + {CUSTOMER_OF_KEY})"
COLUMNS = {
    "key_id": f"{FIRST['key']} + {KEY}",
    "team_id": f"{FIRST['team']} + {KEY} % 50",
    "user_id": f"{FIRST['user']} + {KEY} % 200",
    "organization_id": f"{FIRST['organization']} + {KEY} % 10",
    "customer_id": f"{FIRST['customer']} + {CUSTOMER}",
    "group_id": f"{FIRST['group']} + {GROUP}",
    "deployment_id": f"{FIRST['deployment']} + {GROUP} * 2 + {{n}} % 2",
    "provider_id": f"{FIRST['provider']} + {{n}} % 2",
    "model_id": f"{FIRST['model']} + {GROUP} * 2 + {{n}} % 2",
    "tag_set": f"({CUSTOMER} % 500) * 3 + {{n}} / 11 % 3",
    "status": f"CASE WHEN {{n}} % {FAILED} = 0 THEN 429 ELSE 200 END",
    "failed": f"CASE WHEN {{n}} % {FAILED} = 0 THEN 1 ELSE 0 END",
    "cost": "100000 + {n} % 90000",
}
BODY = json.dumps({
    "began": 1, "took": 812345, "first_byte": 301234, "upstream": 801234, "endpoint": "/chat/completions", "asked": "group-1",
    "stream": True, "usage": {"prompt": 1200, "completion": 310, "total": 1510},
    "tags": [{"tag": "env:prod", "origin": "key"}, {"tag": "feature:12", "origin": "body"}, {"tag": "customer:123", "origin": "header"}],
    "matched": ["tags", "env:prod"],
}, separators=(",", ":"))


def tag_sets():
    """Sets 1 to 1500, of three tags each; set 0 has none."""
    for number in range(1, SETS):
        tags = [FIRST["tag"], FIRST["tag"] + 1 + number % 30, FIRST["tag"] + 31 + number * 2 // 3]
        yield number, sorted(tags)


def columns(number):
    return {name: text.format(n=number) for name, text in COLUMNS.items()}


DAILY = """INSERT INTO daily SELECT {day}, key_id, team_id, user_id, organization_id, 0, customer_id, group_id, deployment_id,
  provider_id, model_id, tag_set, count(*), sum(failed), 0, count(*) * 1200, count(*) * 310, 0, 0, sum(cost)
  FROM spend_logs GROUP BY 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12"""
LOG_TAGS = """INSERT INTO spend_log_tags SELECT m.tag_id, l.id FROM spend_logs l
  JOIN tag_set_members m ON m.tag_set = l.tag_set ORDER BY 1, 2"""
SPEND = [
    """INSERT INTO spend SELECT '{0}', t.text, 9223372036854775807, sum(cost), 0 FROM daily JOIN terms t ON t.id = {0}_id
  GROUP BY t.text""".format(kind) for kind in ("key", "team", "user", "customer")]


def fill_sqlite(path, rows):
    store = sqlite3.connect(path, isolation_level=None)
    run = store.execute
    run("PRAGMA journal_mode = OFF")
    run("PRAGMA synchronous = OFF")
    run("PRAGMA cache_size = -1000000")
    store.create_function("number", 2, lambda at, n: at.to_bytes(6, "big") + n.to_bytes(10, "big"), deterministic=True)
    indexes = run("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('spend_logs', 'daily')").fetchall()
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    run("BEGIN")
    texts = [text for kind in NAMES.values() for text in kind]
    store.executemany("INSERT INTO terms (id, text) VALUES (?, ?)", enumerate(texts, 1))
    for number, tags in tag_sets():
        run("INSERT INTO tag_sets (id, tags, size) VALUES (?, ?, 3)", (number, " ".join(map(str, tags))))
        store.executemany("INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES (?, ?, ?, 3)",
                          [(tag, number, at) for at, tag in enumerate(tags)])
    names = columns("n")
    run(f"""WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {rows})
        INSERT INTO spend_logs (id, call_id, {', '.join(names)}, body)
        SELECT number({START} + n * {DAYS * 86_400_000} / {rows}, n), printf('%08x-%016x', n * 2654435761 % 4294967296, n),
        {', '.join(names.values())}, ? FROM numbers""", (BODY,))
    run("COMMIT")
    run(LOG_TAGS)
    store.create_function("day", 1, lambda id: int.from_bytes(id[:6], "big") // 86_400_000, deterministic=True)
    run(DAILY.format(day="day(id)"))
    for sql in SPEND:
        run(sql)
    for _, sql in indexes:
        run(sql)
    run("PRAGMA journal_mode = WAL")
    store.close()


def fill_postgres(url, rows):
    names = columns("n")
    sets = ", ".join(f"({number}, '{' '.join(map(str, tags))}', 3)" for number, tags in tag_sets())
    members = ", ".join(f"({tag}, {number}, {at}, 3)" for number, tags in tag_sets() for at, tag in enumerate(tags))
    texts = ", ".join(f"({number}, '{text}')" for number, text in enumerate((t for kind in NAMES.values() for t in kind), 1))
    at = f"({START} + n * {DAYS * 86_400_000} / {rows})"
    sql = f"""
SET work_mem = '512MB'; SET maintenance_work_mem = '512MB'; SET synchronous_commit = off;
CREATE TEMP TABLE kept AS SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('spend_logs', 'daily') AND indexname NOT LIKE '%_pkey';
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM kept LOOP EXECUTE 'DROP INDEX ' || r.indexname; END LOOP; END $$;
INSERT INTO terms (id, text) VALUES {texts};
INSERT INTO tag_sets (id, tags, size) VALUES {sets};
INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES {members};
INSERT INTO spend_logs (id, call_id, {', '.join(names)}, body)
SELECT decode(lpad(to_hex({at}), 12, '0') || lpad(to_hex(n), 20, '0'), 'hex'),
  lpad(to_hex(n * 2654435761 % 4294967296), 8, '0') || '-' || lpad(to_hex(n), 16, '0'), {', '.join(names.values())}, '{BODY}'
  FROM generate_series(0::bigint, {rows - 1}) AS n;
{LOG_TAGS};
{DAILY.format(day="(get_byte(id, 0)::bigint << 40 | get_byte(id, 1)::bigint << 32 | get_byte(id, 2)::bigint << 24 | get_byte(id, 3) << 16 | get_byte(id, 4) << 8 | get_byte(id, 5)) / 86400000")};
{';'.join(SPEND)};
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM kept LOOP EXECUTE r.indexdef; END LOOP; END $$;
VACUUM ANALYZE;
"""
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=sql, text=True, check=True)
