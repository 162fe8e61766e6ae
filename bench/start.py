"""Starts the gateway several times: time to the first answered request, memory when idle."""

import http.client
import pathlib
import re
import statistics
import subprocess
import sys
import time

import files


def first_answer(body):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {files.KEY}", "x-litellm-tags": "eu"}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", files.GATEWAY, timeout=5)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            time.sleep(0.0005)
            continue
        finally:
            connection.close()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}")
        return time.monotonic()
    raise SystemExit("no answer within 10 seconds")


def memory(pid, name):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", rollup, re.MULTILINE)[1]) / 1024


def main(binary, directory, times):
    body = pathlib.Path(directory, "small.json").read_text()
    command = [binary, "--config", f"{directory}/gateway.yaml", "--host", "127.0.0.1", "--port", str(files.GATEWAY)]
    took, resident, private = [], [], []
    for _ in range(int(times)):
        began = time.monotonic()
        with open(f"{directory}/tagway.log", "w") as log, subprocess.Popen(command, stdout=log, stderr=log) as gateway:
            try:
                took.append((first_answer(body) - began) * 1000)
                time.sleep(0.2)
                resident.append(memory(gateway.pid, "Rss"))
                private.append(memory(gateway.pid, "Anonymous"))
            finally:
                gateway.terminate()
    print(f"start to first answer: median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms, of {len(took)}")
    print(f"idle memory: resident {statistics.median(resident):.1f} MiB, of it anonymous {statistics.median(private):.1f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
