"""Drives the servers that bench/run has started and prints what each costs beside nginx."""

import argparse
import http.client
import os
import pathlib
import statistics
import subprocess

import files

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CASES = {"small": ("small.json", 32), "big": ("big.json", 32), "stream": ("stream.json", 32), "low": ("small.json", 1)}
PORTS = {
    "direct": (files.UPSTREAM, files.UPSTREAM_STREAM),
    "nginx": (files.PROXY, files.PROXY_STREAM),
    "tagway": (files.GATEWAY, files.GATEWAY),
}


def family(root):
    """The process and all below it."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def account(root):
    """User and kernel seconds of a process tree, and its resident bytes."""
    user = kernel = resident = 0
    for pid in family(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        user, kernel, resident = user + int(fields[11]), kernel + int(fields[12]), resident + int(fields[21]) * PAGE
    return user / TICK, kernel / TICK, resident


def check(port, case, body):
    """The answer must be whole before its cost means anything."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {files.KEY}", "x-litellm-tags": "eu,team-a"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    expected = files.EVENTS if case == "stream" else 0
    if answer.status != 200 or text.count("data: ") != expected or "finish_reason" not in text:
        raise SystemExit(f"port {port}, {case}: status {answer.status}, not the answer expected: {text[:300]}")


def load(port, case, directory, seconds, core):
    body, connections = CASES[case]
    environment = {**os.environ, "BODY": f"{directory}/{body}", "KEY": files.KEY, "TAGS": "eu,team-a"}
    script = pathlib.Path(__file__).with_name("post.lua")
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
               f"http://127.0.0.1:{port}/v1/chat/completions"]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("result "))
    requests, micros, failed, half, most = map(int, line.split()[1:])
    return {"requests": max(requests, 1), "rate": requests / micros * 1e6, "failed": failed, "p50": half, "p99": most}


def measure(port, pid, case, options):
    before = account(pid) if pid else (0, 0, 0)
    run = load(port, case, options.directory, options.seconds, options.load_core)
    after = account(pid) if pid else (0, 0, 0)
    user, kernel = (after[at] - before[at] for at in (0, 1))
    per = 1e6 / run["requests"]
    return {**run, "user": user * per, "kernel": kernel * per, "cpu": (user + kernel) * per, "rss": after[2] / 2**20}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--directory", required=True)
    options.add_argument("--nginx", type=int, required=True)
    options.add_argument("--tagway", type=int, required=True)
    options.add_argument("--load-core", type=int, required=True)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--only", default=",".join(CASES))
    options = options.parse_args()
    cases = options.only.split(",")
    if unknown := set(cases) - set(CASES):
        raise SystemExit(f"--only: no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    pids = {"direct": 0, "nginx": options.nginx, "tagway": options.tagway}
    runs = {}
    for case in cases:
        body = pathlib.Path(options.directory, CASES[case][0]).read_text()
        for name, ports in PORTS.items():
            port = ports[case == "stream"]
            check(port, case, body)
            load(port, case, options.directory, 1, options.load_core)
    for number in range(options.rounds):
        for case in cases:
            for name, ports in PORTS.items():
                run = measure(ports[case == "stream"], pids[name], case, options)
                runs.setdefault((case, name), []).append(run)
                print(f"{number} {case:6} {name:6} {run['rate']:9.0f} req/s  cpu {run['cpu']:6.1f} us  "
                      f"p50 {run['p50']} us  failed {run['failed']}", flush=True)

    def median(case, name, key):
        return statistics.median(run[key] for run in runs[case, name])

    print("\n| case | server | req/s | CPU us/req | user | kernel | p50 us | p99 us | RSS MiB | failed |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for case, name in runs:
        row = [f"{median(case, name, key):.{digits}f}" for key, digits in
               (("rate", 0), ("cpu", 1), ("user", 1), ("kernel", 1), ("p50", 0), ("p99", 0), ("rss", 1))]
        print("|", " | ".join([case, name, *row, str(sum(run["failed"] for run in runs[case, name]))]), "|")
    print("\ntagway / nginx, medians:")
    for case in cases:
        if case == "low":
            added = {name: median(case, name, "p50") - median(case, "direct", "p50") for name in PORTS}
            ratio = added["tagway"] / added["nginx"] if 0 < added["nginx"] else float("nan")
            print(f"  {case:6} added latency x{ratio:.2f} ({added['tagway']:.0f} us and {added['nginx']:.0f} us)")
            continue
        cpu, rate = (median(case, "tagway", key) / median(case, "nginx", key) for key in ("cpu", "rate"))
        print(f"  {case:6} CPU a request x{cpu:.2f}   requests a second x{rate:.2f}   RSS {median(case, 'tagway', 'rss'):.1f} MiB")


if __name__ == "__main__":
    main()
