"""Load on a gateway that is killed every few seconds, for bench/kill: what clients got is compared with the books."""

import argparse
import collections
import http.client
import itertools
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request

PORT = 18311
KEY = "sk-bench-0123456789abcdef"


def config(upstream):
    return {
        "model_list": [{"model_name": "m", "litellm_params": {
            "model": "openai/gpt-4o", "api_base": f"{upstream}/v1", "api_key": "k",
            "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}, "model_info": {"id": "one"}}],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0},
    }


class Gateway:
    def __init__(self, binary, folder):
        self.command = [binary, "--config", f"{folder}/config.yaml", "--host", "127.0.0.1", "--port", str(PORT),
                        "--data-dir", f"{folder}/data"]
        self.log = open(f"{folder}/gateway.log", "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        while True:
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/readiness", timeout=1).read()
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("the gateway does not start: see its log")
                time.sleep(0.01)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def readiness(self):
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/readiness", timeout=10))


def client(number, numbers, whole, stop):
    """Asks until told to stop; notes the calls whose answers came to their end."""
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
        try:
            while not stop.is_set():
                call, stream = f"call-{next(numbers)}", number % 2 == 0
                body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Say something."}]}
                headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json",
                           "x-litellm-call-id": call, "x-litellm-tags": f"a,b{number % 5}"}
                connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    raise SystemExit(f"{answer.status}: {text}")
                if not stream or text.endswith(b"data: [DONE]\n\n"):
                    whole.append(call)
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()


def booked(folder):
    """How often each call is in the books."""
    sql = "SELECT call_id FROM spend_logs"
    if url := os.environ.get("DATABASE_URL"):
        output = subprocess.run(["psql", url, "-Atc", sql], capture_output=True, text=True, check=True).stdout
        return collections.Counter(output.split())
    with sqlite3.connect(f"{folder}/data/tagway.db", timeout=30) as store:
        return collections.Counter(call for (call,) in store.execute(sql))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("folder")
    options.add_argument("upstream")
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--every", type=float, default=3)
    options.add_argument("--clients", type=int, default=16)
    options = options.parse_args()
    pathlib.Path(options.folder, "config.yaml").write_text(json.dumps(config(options.upstream)))
    gateway = Gateway(options.binary, options.folder)
    gateway.start()
    numbers, whole, stop = itertools.count(), [], threading.Event()
    clients = [threading.Thread(target=client, args=(number, numbers, whole, stop)) for number in range(options.clients)]
    for one in clients:
        one.start()
    end, kills = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        time.sleep(options.every * random.uniform(0.5, 1.5))
        gateway.kill()
        kills += 1
        gateway.start()
    stop.set()
    for one in clients:
        one.join()
    deadline = time.monotonic() + 60
    while gateway.readiness()["ledger"]["waiting_bytes"] and time.monotonic() < deadline:
        time.sleep(0.05)
    books = booked(options.folder)
    seen = pathlib.Path(options.folder, "fake.seen").read_bytes().count(b"/chat/completions")
    lost = [call for call in whole if call not in books]
    twice = [call for call, count in books.items() if 1 < count]
    gateway.kill()
    print(f"{kills} kills; {len(whole)} answers came to their end, {len(books)} calls are in the books, "
          f"the provider saw {seen}; lost: {len(lost)}, twice: {len(twice)}")
    if lost or twice or seen < len(books):
        raise SystemExit(f"lost: {lost[:10]}, twice: {twice[:10]}")


if __name__ == "__main__":
    main()
