"""Fills a store with keys and teams, and measures what bench/keys prints."""

import argparse
import hashlib
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import time
import urllib.request

import drive
import files

KEYS, TEAMS = 100_000, 1_000


def key(number):
    return f"sk-bench-{number:012d}"


def fill(directory):
    store = sqlite3.connect(f"{directory}/data/tagway.db")
    insert = ("INSERT INTO {} (id, name, team_id, created_at, updated_at, version, body) VALUES (?, ?, ?, ?, ?, 1, ?)")
    teams = ((f"team-{at}", f"team {at}", None, at, at,
              json.dumps({"team_alias": f"team {at}", "metadata": {"tags": ["team-a"]}, "models": ["bench", "bench-stream"]}))
             for at in range(TEAMS))
    store.executemany(insert.format("teams"), teams)

    def rows():
        for at in range(KEYS):
            token = hashlib.sha256(key(at).encode()).hexdigest()
            body = {"key_alias": f"key {at}", "team_id": f"team-{at % TEAMS}", "token": token,
                    "metadata": {"tags": ["eu"]}, "models": ["all-team-models"]}
            yield token, f"key {at}", f"team-{at % TEAMS}", at, at, json.dumps(body)

    store.executemany(insert.format("keys"), rows())
    digests = ((hashlib.sha256(key(at).encode()).digest(), hashlib.sha256(key(at).encode()).hexdigest()) for at in range(KEYS))
    store.executemany("INSERT INTO key_digests (digest, key_id) VALUES (?, ?)", digests)
    store.commit()
    store.close()


def load(directory, keys, seconds, core):
    environment = {**os.environ, "BODY": f"{directory}/small.json", "KEY": files.KEY, "KEYS": str(keys)}
    script = pathlib.Path(__file__).with_name("keys.lua")
    command = ["taskset", "-c", str(core), "wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script),
               f"http://127.0.0.1:{files.GATEWAY}/v1/chat/completions"]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("result "))
    requests, _, failed, half, _ = map(int, line.split()[1:])
    return max(requests, 1), failed, half


def page(query):
    url = f"http://127.0.0.1:{files.GATEWAY}/key/list?{query}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {files.KEY}"})
    took = []
    for _ in range(9):
        began = time.perf_counter()
        answer = json.load(urllib.request.urlopen(request, timeout=30))
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took), answer


def main():
    options = argparse.ArgumentParser()
    options.add_argument("action", choices=["fill", "drive"])
    options.add_argument("directory")
    options.add_argument("--tagway", type=int)
    options.add_argument("--load-core", type=int, default=1)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=int, default=3)
    options = options.parse_args()
    if options.action == "fill":
        fill(options.directory)
        return
    cases = {"master key": 0, "one key": 1, "100,000 keys": KEYS}
    # Every key has been seen once.
    load(options.directory, KEYS, 30, options.load_core)
    runs = {name: [] for name in cases}
    for _ in range(options.rounds):
        for name, keys in cases.items():
            before = drive.account(options.tagway)
            requests, failed, half = load(options.directory, keys, options.seconds, options.load_core)
            after = drive.account(options.tagway)
            if failed:
                raise SystemExit(f"{name}: {failed} requests failed")
            cpu = (after[0] + after[1] - before[0] - before[1]) * 1e6 / requests
            runs[name].append((cpu, half, after[2] / 2**20))
    base = statistics.median(run[0] for run in runs["master key"])
    print("| requests with | CPU us a request | beside the master key | p50 us | RSS MiB |\n|---|--:|--:|--:|--:|")
    for name, measured in runs.items():
        cpu, half, memory = (statistics.median(run[at] for run in measured) for at in range(3))
        print(f"| {name} | {cpu:.1f} | x{cpu / base:.3f} | {half:.0f} | {memory:.0f} |")
    print("\n/key/list, median of 9:")
    cursor = None
    for name, query in {
        "first page": "size=100", "with all fields": "size=100&return_full_object=true",
        "last page by number": f"size=100&page={KEYS // 100}", "of one team": "team_id=team-7&size=100",
        "by alias": "key_alias=key%2099999", "a part of an alias": "key_alias=9999&substring_matching=true",
    }.items():
        took, answer = page(query)
        cursor = cursor or answer.get("next_cursor")
        print(f"  {name:22} {took:6.1f} ms   {len(answer['keys'])} of {answer['total_count']}")
    took, _ = page(f"size=100&cursor={cursor}")
    print(f"  {'by cursor':22} {took:6.1f} ms")


if __name__ == "__main__":
    main()
