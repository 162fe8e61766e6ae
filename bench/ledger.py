"""Writes the two configurations of bench/ledger, and measures what it prints."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time
import urllib.request

import drive
import files

PORTS = {"on": 18300, "off": 18301}
PLENTY = 1_000_000_000
# In seconds: receipts are gathered for one at most before they are shipped.
SHIPPED = 1.5


def write(directory):
    gateway = files.gateway()
    for entry in gateway["model_list"]:
        entry["litellm_params"] |= {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07}
    pathlib.Path(directory, "on.yaml").write_text(json.dumps(gateway, indent=1))
    gateway["general_settings"] |= {"disable_spend_logs": True, "disable_spend_updates": True}
    pathlib.Path(directory, "off.yaml").write_text(json.dumps(gateway, indent=1))


def ask(way, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS[way]}{path}", json.dumps(body).encode(),
        {"Authorization": f"Bearer {files.KEY}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def key(way):
    """A key of a team: with budgets and limits on everything it touches, or without any."""
    limits = {"rpm_limit": PLENTY, "tpm_limit": PLENTY, "max_parallel_requests": PLENTY,
              "max_budget": PLENTY / 1000, "soft_budget": PLENTY / 2000, "budget_duration": "30d"}
    limits = limits if way == "on" else {}
    if way == "on":
        ask(way, "/tag/new", {"name": "eu", "max_budget": PLENTY / 1000, "budget_duration": "1d"})
    ask(way, "/team/new", {"team_id": "bench", **limits})
    return ask(way, "/key/generate", {"team_id": "bench", **limits})["key"]


def load(way, key, case, directory, options):
    body, connections = drive.CASES[case]
    environment = {**os.environ, "BODY": f"{directory}/{body}", "KEY": key, "TAGS": "eu,team-a"}
    script = pathlib.Path(__file__).with_name("post.lua")
    command = ["taskset", "-c", str(options.load_core), "wrk", "-t1", f"-c{connections}", f"-d{options.seconds}s", "-s",
               str(script), f"http://127.0.0.1:{PORTS[way]}/v1/chat/completions"]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("result "))
    requests, _, failed, half, most = map(int, line.split()[1:])
    if failed:
        raise SystemExit(f"{way}, {case}: {failed} of {requests} requests failed")
    return max(requests, 1), half, most


def seconds_of_cpu(pid):
    """What all threads of a process have used, to the nanosecond."""
    used = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            used += int((thread / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return used / 1e9


def measure(way, pid, key, case, options):
    """Microseconds of CPU for each request, its times, and the process's memory."""
    before = seconds_of_cpu(pid)
    requests, half, most = load(way, key, case, options.directory, options)
    # What is left is shipped within this time, and is part of what a request costs.
    time.sleep(SHIPPED)
    cpu = (seconds_of_cpu(pid) - before) * 1e6 / requests
    return cpu, half, most, drive.account(pid)[2] / 2**20


def quarters(numbers):
    return statistics.quantiles(numbers, n=4, method="inclusive")


def main(write=write, key=key):
    options = argparse.ArgumentParser()
    options.add_argument("action", choices=["write", "drive"])
    options.add_argument("directory")
    options.add_argument("--on", type=int)
    options.add_argument("--off", type=int)
    options.add_argument("--load-core", type=int, default=1)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--seconds", type=int, default=1)
    options = options.parse_args()
    if options.action == "write":
        write(options.directory)
        return
    keys = {way: key(way) for way in PORTS}
    print("| requests | CPU us, all off | CPU us, all on | difference us (middle half of rounds) | p50 us off / on | p99 us off / on | RSS MiB off / on |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for case in ("small", "big", "stream", "low"):
        runs = {way: [] for way in PORTS}
        for way in PORTS:
            load(way, keys[way], case, options.directory, options)
        for number in range(options.rounds):
            # Each goes first every other time: what the machine does meanwhile is for both of them.
            for way in list(PORTS)[:: 1 if number % 2 == 0 else -1]:
                runs[way].append(measure(way, getattr(options, way), keys[way], case, options))
        # Others on a shared machine only ever make a request dearer: the quiet rounds say what it costs.
        quiet = {way: quarters([run[0] for run in runs[way]])[0] for way in PORTS}
        off, on = ([statistics.median(run[at] for run in runs[way]) for at in range(4)] for way in ("off", "on"))
        low, _, high = quarters([one[0] - other[0] for one, other in zip(runs["on"], runs["off"])])
        print(f"| {case} | {quiet['off']:.1f} | {quiet['on']:.1f} | {quiet['on'] - quiet['off']:.1f} ({low:.1f} to {high:.1f}) "
              f"| {off[1]:.0f} / {on[1]:.0f} | {off[2]:.0f} / {on[2]:.0f} | {off[3]:.0f} / {on[3]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
