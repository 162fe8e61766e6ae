"""Fills a store with requests of 90 days and times what reads them, for bench/ledger-rows."""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

DAYS, KEPT, DAY = 90, 85, 86_400_000
ROLLS = 6  # tables that a day is rolled up into
# In milliseconds: what a page of the log may take, what other answers may, and how long the gateway waits between steps.
PAGE, SUMS, PAUSE = 100, 1000, 50
KEYS, TEAMS, USERS, CUSTOMERS, GROUPS, SETS = 1_000, 50, 200, 5_000, 4, 1_500
FAILED = 200  # one in so many
RARE = 100_003  # one in so many is of owners, of a model and with a tag that no others have
MASTER, KEY, USER = "sk-rows-master", "sk-rows-key-of-one", "sk-rows-key-of-user"
GATEWAY = "http://127.0.0.1:18400"

# So long ago that the days before it are over for every gateway, and are rolled up.
NOW = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
END = int(NOW.replace(minute=0, second=0, microsecond=0).timestamp() * 1000)
START = END - DAYS * DAY


def key(number):
    """The first is that of the key which asks for its own usage."""
    return f"{number:064x}" if number else hashlib.sha256(KEY.encode()).hexdigest()


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
    for kind, texts in names.items():
        texts.append("f" * 64 if kind == "key" else f"rare-{kind}")
    first, number = {}, 1
    for kind, texts in names.items():
        first[kind] = number
        number += len(texts)
    return names, first


NAMES, FIRST = terms()

# A key has 5 customers, and what stands above it; a customer carries one of 3 sets of tags to 4 groups of 2 deployments.
# Of subject {n}, counted from 0 ...
CUSTOMER, GROUP, SIDE, SET = "({n} / 24)", "({n} / 6 % 4)", "({n} / 3 % 2)", "({n} % 3)"
SUBJECTS = CUSTOMERS * 24
OWNERS = {
    "key_id": f"{FIRST['key']} + {CUSTOMER} / 5",
    "team_id": f"{FIRST['team']} + {CUSTOMER} / 5 % {TEAMS}",
    "user_id": f"{FIRST['user']} + {CUSTOMER} / 5 % {USERS}",
    "organization_id": f"{FIRST['organization']} + {CUSTOMER} / 5 % 10",
    "customer_id": f"{FIRST['customer']} + {CUSTOMER}",
    "group_id": f"{FIRST['group']} + {GROUP}",
    "deployment_id": f"{FIRST['deployment']} + {GROUP} * 2 + {SIDE}",
    "provider_id": f"{FIRST['provider']} + {SIDE}",
    "model_id": f"{FIRST['model']} + {GROUP} * 2 + {SIDE}",
    "tag_set": f"({CUSTOMER} % 500) * 3 + {SET}",
}
# ... and of request {n}.
COLUMNS = {
    "subject_id": f"1 + (({{n}} * 7919 % {KEYS} * 5 + {{n}} / 7 % 5) * 4 + {{n}} / 3 % 4) * 6 + {{n}} % 2 * 3 + {{n}} / 11 % 3",
    "status": f"CASE WHEN {{n}} % {FAILED} = 0 THEN 429 ELSE 200 END",
    "failed": f"CASE WHEN {{n}} % {FAILED} = 0 THEN 1 ELSE 0 END",
    "cost": "100000 + {n} % 90000",
}
for column, text in OWNERS.items():
    rare = SETS if column == "tag_set" else FIRST[column[:-3]] + len(NAMES[column[:-3]]) - 1
    OWNERS[column] = f"CASE WHEN {{n}} = {SUBJECTS} THEN {rare} ELSE {text} END"
for column, text in COLUMNS.items():
    rare = {"subject_id": SUBJECTS + 1, "status": 500, "failed": 1, "cost": 9_000_000_000}[column]
    COLUMNS[column] = f"CASE WHEN {{n}} % {RARE} = 7 THEN {rare} ELSE {text} END"
BODY = json.dumps({
    "took": 812345, "first_byte": 301234, "upstream": 801234, "stream": True,
    "usage": {"prompt": 1200, "completion": 310, "total": 1510}}, separators=(",", ":"))
ABOUT = json.dumps({
    "endpoint": "/chat/completions", "asked": "group-1",
    "tags": [{"tag": "env:prod", "origin": "key"}, {"tag": "feature:12", "origin": "body"}, {"tag": "customer:123", "origin": "header"}],
    "matched": ["tags", "env:prod"],
}, separators=(",", ":"))


def tag_sets():
    """Sets of three tags each, and the rare one; set 0 has none."""
    for number in range(1, SETS):
        tags = [FIRST["tag"], FIRST["tag"] + 1 + number % 30, FIRST["tag"] + 31 + number * 2 // 3]
        yield number, sorted(tags)
    yield SETS, [FIRST["tag"] + len(NAMES["tag"]) - 1]


def columns(of, number):
    return {name: text.format(n=number) for name, text in of.items()}


DAILY = """INSERT INTO daily (day, key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id,
  provider_id, model_id, tag_set, requests, failed, unpriced, prompt_tokens, completion_tokens, cache_read_tokens,
  cache_write_tokens, cost, timed, total_us, first_us)
SELECT day, key_id, team_id, user_id, organization_id, 0, customer_id, group_id, deployment_id, provider_id, model_id, tag_set,
  requests, failed, 0, requests * 1200, requests * 310, 0, 0, cost, requests, requests * 812345, requests * 301234
FROM (SELECT {day} AS day, subject_id, count(*) AS requests, sum(failed) AS failed, sum(cost) AS cost
  FROM spend_logs GROUP BY 1, 2) AS sums
JOIN spend_log_subjects s ON s.id = subject_id"""
SEEN = "INSERT INTO seen_tags (tag, first_at, last_at) VALUES ({0}, %d, %d)" % (START, END)
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
    indexes = run("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('spend_logs', 'spend_log_subjects', 'daily')").fetchall()
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    run("BEGIN")
    texts = [text for kind in NAMES.values() for text in kind]
    store.executemany("INSERT INTO terms (id, text) VALUES (?, ?)", enumerate(texts, 1))
    for number, tags in tag_sets():
        run("INSERT INTO tag_sets (id, tags, size) VALUES (?, ?, ?)", (number, " ".join(map(str, tags)), len(tags)))
        store.executemany("INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES (?, ?, ?, ?)",
                          [(tag, number, at, len(tags)) for at, tag in enumerate(tags)])
    owners, names = columns(OWNERS, "n"), columns(COLUMNS, "n")
    run(f"""WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SUBJECTS})
        INSERT INTO spend_log_subjects (id, digest, {', '.join(owners)}, about)
        SELECT n + 1, n, {', '.join(owners.values())}, ? FROM numbers""", (ABOUT,))
    run(f"""WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {rows})
        INSERT INTO spend_logs (id, call_id, {', '.join(names)}, body)
        SELECT number({START} + n * {DAYS * DAY} / {rows}, n), CASE WHEN n % 10 = 0 THEN printf('%08x-%016x', n * 2654435761 % 4294967296, n) ELSE '' END,
        {', '.join(names.values())}, ? FROM numbers""", (BODY,))
    run("COMMIT")
    store.create_function("day", 1, lambda id: int.from_bytes(id[:6], "big") // 86_400_000, deterministic=True)
    run(DAILY.format(day="day(id)"))
    for sql in SPEND:
        run(sql)
    store.executemany(SEEN.format("?"), [(tag,) for tag in NAMES["tag"]])
    for _, sql in indexes:
        run(sql)
    run("PRAGMA journal_mode = WAL")
    store.close()


def fill_postgres(url, rows):
    owners, names = columns(OWNERS, "n"), columns(COLUMNS, "n")
    sets = ", ".join(f"({number}, '{' '.join(map(str, tags))}', {len(tags)})" for number, tags in tag_sets())
    members = ", ".join(f"({tag}, {number}, {at}, {len(tags)})" for number, tags in tag_sets() for at, tag in enumerate(tags))
    texts = ", ".join(f"({number}, '{text}')" for number, text in enumerate((t for kind in NAMES.values() for t in kind), 1))
    at = f"({START} + n * {DAYS * DAY} / {rows})"
    sql = f"""
SET work_mem = '512MB'; SET maintenance_work_mem = '512MB'; SET synchronous_commit = off;
CREATE TEMP TABLE kept AS SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('spend_logs', 'daily') AND indexname NOT LIKE '%_pkey';
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM kept LOOP EXECUTE 'DROP INDEX ' || r.indexname; END LOOP; END $$;
INSERT INTO terms (id, text) VALUES {texts};
INSERT INTO tag_sets (id, tags, size) VALUES {sets};
INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES {members};
INSERT INTO spend_log_subjects (id, digest, {', '.join(owners)}, about)
SELECT n + 1, n, {', '.join(owners.values())}, '{ABOUT}' FROM generate_series(0::bigint, {SUBJECTS}) AS n;
INSERT INTO spend_logs (id, call_id, {', '.join(names)}, body)
SELECT decode(lpad(to_hex({at}), 12, '0') || lpad(to_hex(n), 20, '0'), 'hex'),
  CASE WHEN n % 10 = 0 THEN lpad(to_hex(n * 2654435761 % 4294967296), 8, '0') || '-' || lpad(to_hex(n), 16, '0') ELSE '' END, {', '.join(names.values())}, '{BODY}'
  FROM generate_series(0::bigint, {rows - 1}) AS n;
{DAILY.format(day="('x' || lpad(encode(substring(id FOR 6), 'hex'), 16, '0'))::bit(64)::bigint / 86400000")};
{';'.join(SPEND)};
{';'.join(SEEN.format(f"'{tag}'") for tag in NAMES["tag"])};
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM kept LOOP EXECUTE r.indexdef; END LOOP; END $$;
VACUUM ANALYZE;
"""
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=sql, text=True, check=True)


class Store:
    """The store, from outside."""

    def __init__(self, kind, folder):
        self.postgres = os.environ["TAGWAY_TEST_POSTGRES_URL"] if kind == "postgres" else None
        self.file = folder / "tagway.db"

    def number(self, sql):
        if self.postgres:
            answer = subprocess.run(["psql", "-qAt", self.postgres], input=sql, capture_output=True, text=True, check=True)
            return int(answer.stdout.strip() or 0)
        store = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        found = store.execute(sql).fetchone()
        store.close()
        return found[0] if found and found[0] is not None else 0

    def fill(self, rows):
        if self.postgres:
            fill_postgres(self.postgres, rows)
        else:
            fill_sqlite(self.file, rows)

    def size(self):
        if self.postgres:
            return self.number("SELECT pg_database_size(current_database())")
        return sum(self.file.with_name(self.file.name + end).stat().st_size
                   for end in ("", "-wal") if self.file.with_name(self.file.name + end).exists())


class Gateway:
    def __init__(self, binary, folder, store):
        settings = {"master_key": MASTER, "maximum_spend_logs_retention_period": f"{KEPT}d"}
        if store.postgres:
            settings["database_url"] = store.postgres
        parameters = {"model": "openai/model-0", "api_base": "http://127.0.0.1:9/v1", "api_key": "none"}
        config = folder / "config.yaml"
        config.write_text(json.dumps({
            "model_list": [{"model_name": "group-0", "litellm_params": parameters}], "general_settings": settings}))
        self.log = open(folder / "gateway.log", "w")
        self.process = subprocess.Popen(
            [binary, "--config", config, "--host", "127.0.0.1", "--port", GATEWAY.rsplit(":", 1)[1], "--data-dir", folder],
            stdout=self.log, stderr=self.log)

    def __enter__(self):
        for _ in range(600):
            try:
                return ask("/health/liveliness")
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the gateway does not start: see gateway.log")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def ask(path, body=None, key=MASTER):
    """The answer's length, and after how many seconds its first byte and its last one came."""
    request = urllib.request.Request(
        GATEWAY + path, None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as answer:
        length = len(answer.read(1))
        first = time.perf_counter() - began
        while part := answer.read(1 << 20):
            length += len(part)
    return length, first, time.perf_counter() - began


def objects():
    """Those that the endpoints look up; they may be there from a run before."""
    for path, body in [
        ("/team/new", {"team_id": "team-0", "team_alias": "first"}),
        ("/user/new", {"user_id": "user-0", "user_role": "internal_user", "auto_create_key": False}),
        ("/team/member_add", {"team_id": "team-0", "member": {"role": "admin", "user_id": "user-0"}}),
        ("/key/generate", {"key": KEY, "team_id": "team-0"}),
        ("/key/generate", {"key": USER, "user_id": "user-0"}),
        ("/tag/new", {"name": "customer:123"}),
    ]:
        try:
            ask(path, body)
        except urllib.error.HTTPError as error:
            said = error.read()
            if b"exist" not in said and b"already" not in said:
                raise SystemExit(f"{path}: {said.decode()}") from error


def watch(store, what, sql, done):
    """Waits until the gateway has done something; how long it took for each step, from the first one it was seen at."""
    print(f"waiting for {what}", file=sys.stderr, flush=True)
    before, times = store.number(sql), []
    while before < done:
        time.sleep(0.01 if times else 0.5)
        now = store.number(sql)
        if now != before:
            times.append(time.perf_counter())
            before = now
    return [(later - sooner) * 1000 - PAUSE for sooner, later in zip(times, times[1:])]


def questions():
    """What is asked, by the bound it is held to: pages of the log, sums, and answers written day by day, of any length."""
    date = lambda at: datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).strftime("%Y-%m-%d")
    days = f"start_date={date(START)}&end_date={date(END)}"
    month = f"start_date={date(END - 40 * DAY)}&end_date={date(END - 20 * DAY)}"
    middle = END - 45 * DAY
    cursor = f"{middle:012x}{0:020x}"
    owners = [
        ("tag", "tag"), ("api_key", "key"), ("team_id", "team"), ("user_id", "user"), ("end_user", "customer"),
        ("model_group", "group"), ("model", "model"), ("model_id", "deployment")]
    texts = {"tag": "customer:123", "key": KEY}
    pages, sums, files = [], [], []
    log = f"/spend/logs/v2?{days}&page_size=50"
    pages += [log, f"{log}&page=199", f"{log}&cursor={cursor}", f"{log}&sort_order=asc", f"/spend/logs/v2?{month}"]
    for name, kind in owners:
        text = texts.get(kind, f"{kind}-0" if kind != "model" else "openai/model-0")
        pages += [f"{log}&{name}={text}", f"{log}&{name}={text}&cursor={cursor}", f"{log}&{name}={NAMES[kind][-1]}"]
    pages += [
        f"{log}&tag=env:prod", f"{log}&status_filter=failure", f"{log}&status_filter=success", f"{log}&error_code=429",
        f"{log}&error_code=500", f"{log}&error_code=404", f"{log}&min_spend=5", f"{log}&min_spend=50", f"{log}&max_spend=0.0001",
        f"{log}&tag=env:prod&status_filter=failure", f"{log}&tag=env:prod&error_code=500", f"{log}&tag=env:prod&team_id=team-0",
        f"{log}&tag=env:prod&team_id=rare-team", f"{log}&tag=env:prod&model=rare-model", f"{log}&tag=env:prod&min_spend=5",
        f"{log}&team_id=team-0&model=rare-model", f"{log}&team_id=team-0&status_filter=failure",
        f"{log}&team_id=team-0&error_code=500", f"{log}&team_id=team-0&min_spend=5", f"{log}&model=openai/model-0&min_spend=5",
        f"{log}&api_key={KEY}&model=openai/model-1", f"{log}&api_key={KEY}&model_group=group-1", f"{log}&user_id=user-0&team_id=team-1",
        f"{log}&search=user-1", f"{log}&search=nothing", f"{log}&request_id={cursor}", f"{log}&end_user=customer-1&sort_by=spend",
        f"/spend/logs?{days}&summarize=false&limit=50", f"/spend/logs?{days}&summarize=false&limit=50&after={cursor}",
        f"/spend/logs?{days}&summarize=false&limit=50&tag=customer:123", f"/spend/logs?request_id={cursor}",
        (USER, log), (USER, f"{log}&status_filter=failure"), (USER, f"{log}&model=rare-model"), (USER, f"{log}&min_spend=5"),
    ]
    sums += [
        "/spend/tags", f"/spend/tags?{days}", f"/spend/tags?{days}&view=split", (USER, f"/spend/tags?{days}"),
        f"/tag/summary?{days}", f"/tag/summary?{days}&tag_filter=feature", f"/tag/summary?{days}&tag_filters=customer:123,env:prod",
        f"/global/spend/tags?{days}", f"/global/spend/tags?{days}&tags=customer:123,env:prod", "/global/spend", "/global/spend/logs",
        f"/global/spend/logs?api_key={KEY}", "/global/spend/keys", "/global/spend/models", "/global/spend/teams",
        f"/global/spend/provider?{days}", "/global/all_end_users", f"/global/activity?{days}", f"/global/activity/model?{days}",
        (USER, f"/global/activity?{days}"), "/global/spend/all_tag_names", "/tag/distinct",
        (KEY, f"/me/usage?{days}"), (KEY, f"/me/usage?{days}&view=split"), "/tag/list", ("/tag/info", {"names": ["customer:123"]}),
        f"/tag/compare?a=customer:123&b=customer:124&{days}",
        "/spend/keys", "/spend/users", f"/global/spend/report?{days}&api_key={KEY}", f"/global/spend/report?{days}&internal_user_id=user-1",
        ("/global/spend/end_users", {}), ("/global/spend/end_users", {"api_key": KEY}),
    ]
    for entity, wanted in [
        ("tag", "tags=customer:123"), ("tag", "tags=env:prod"), ("team", "team_ids=team-0"), ("user", "user_id=user-1"),
        ("organization", "organization_ids=organization-1"), ("customer", "end_user_ids=customer-1")]:
        path = f"/{entity}/daily/activity?{days}"
        files += [path, f"{path}&{wanted}", f"{path}&{wanted}&model=openai/model-0", f"{path}&{wanted}&api_key={KEY}"]
    files += [f"/tag/daily/activity?{days}&view=split", f"/tag/daily/activity/aggregated?{days}", f"/team/daily/activity?{days}&format=csv",
              f"/tag/daily/activity?{days}&format=csv", (USER, f"/team/daily/activity?{days}"), (USER, f"/tag/daily/activity?{days}")]
    for group in ("team", "customer", "api_key", "tag", "model", "model_group", "deployment", "provider", "user", "organization", "project"):
        files.append(f"/global/spend/report?{days}&group_by={group}")
    files += [
        f"/spend/logs?{days}", f"/spend/logs?{days}&team_id=team-0", f"/spend/logs?{days}&tag=customer:123",
        f"/global/spend/report?{days}&team_id=team-1", f"/global/spend/report?{days}&customer_id=customer-1",
        f"/global/spend/report?{days}&group_by=tag&view=split", f"/global/spend/report?{days}&group_by=tag&team_id=team-1",
        f"/spend/export?{days}", f"/spend/export?{days}&format=focus", f"/spend/export?{days}&tag=customer:123",
        f"/spend/export?{days}&team_id=team-0", f"/spend/export?{days}&api_key={KEY}", f"/spend/export?{days}&user_id=rare-user",
        f"/spend/export?{days}&tag=rare-tag",
    ]
    return {"page of the log": (PAGE, pages), "sums": (SUMS, sums), "day by day": (SUMS, files)}


def drive(only, most):
    late = []
    print("| question | first byte ms | last byte ms | KB |\n|---|--:|--:|--:|")
    for kind, (bound, asked) in questions().items():
        worst = 0
        for question in asked:
            body, key, path = None, MASTER, question
            if isinstance(question, tuple):
                key, path, body = (MASTER, *question) if isinstance(question[1], dict) else (*question, None)
            if only and only not in path:
                continue
            runs = []
            for _ in range(3):
                runs.append(ask(path, body, key))
                if runs[-1][2] > most:
                    break
            length, first, last = sorted(runs, key=lambda run: run[1])[len(runs) // 2]
            # What is written day by day has no bound as a whole: a day of it has.
            took = (first if kind == "day by day" else last) * 1000
            mark = " **late**" if took > bound else ""
            worst = max(worst, took)
            if mark:
                late.append(path)
            who = {KEY: " (key)", USER: " (user)"}.get(key, "")
            print(f"| {path}{who} | {first * 1000:.1f}{mark} | {last * 1000:.1f} | {length / 1000:.1f} |", flush=True)
        print(f"| **{kind}: slowest, bound {bound} ms** | {worst:.1f} | | |", flush=True)
    return late


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    options.add_argument("--keep", type=pathlib.Path, help="a folder for SQLite's file, which stays; what is in it is not filled again")
    options.add_argument("--only", help="questions with this text alone")
    options = options.parse_args()
    folder = options.keep or options.folder
    folder.mkdir(exist_ok=True)
    store = Store(options.store, folder)
    gateway = lambda: Gateway(options.binary, folder, store)
    with gateway():
        pass
    if store.number("SELECT count(*) FROM (SELECT 1 FROM spend_logs LIMIT 1) AS one") == 0:
        began = time.perf_counter()
        store.fill(options.rows)
        print(f"{options.rows:,} requests of {DAYS} days in {store.size() / 2**30:.1f} GiB, filled in "
              f"{time.perf_counter() - began:.0f} s", flush=True)
    with gateway():
        objects()
        rolled = ROLLS * (END // DAY - START // DAY)
        for what, times in [
            ("days rolled up", watch(store, "days to be rolled up", "SELECT count(*) FROM rolled", rolled)),
            ("requests forgotten, 5,000 at once",
             watch(store, "old requests to be forgotten", store_begins(store), END - KEPT * DAY)),
        ]:
            if times:
                print(f"{what}: {len(times)} times, {sum(times) / len(times):.0f} ms, the longest {max(times):.0f} ms", flush=True)
        late = drive(options.only, 60)
    print(f"{len(late)} of the answers are late")
    raise SystemExit(bool(late))


def store_begins(store):
    """The time of the oldest request."""
    if store.postgres:
        return "SELECT ('x' || encode(substr(id, 1, 6), 'hex'))::bit(48)::bigint FROM spend_logs ORDER BY id LIMIT 1"
    # Its hexadecimal digits, as SQLite has no other way to read them.
    digits = " + ".join(f"(instr('0123456789ABCDEF', substr(h, {at}, 1)) - 1) * {16 ** (12 - at)}" for at in range(1, 13))
    return f"SELECT {digits} FROM (SELECT hex(id) AS h FROM spend_logs ORDER BY id LIMIT 1)"


if __name__ == "__main__":
    main()
