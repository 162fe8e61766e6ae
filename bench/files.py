"""Writes what a benchmark run needs into a directory: request bodies, nginx configurations, the gateway's."""

import json
import pathlib
import sys

UPSTREAM, UPSTREAM_STREAM, PROXY, PROXY_STREAM, GATEWAY = 18100, 18101, 18200, 18201, 18300
KEY = "sk-bench-master-key"
EVENTS = 50

CHUNK = {
    "id": "chatcmpl-Bench0123456789", "object": "chat.completion.chunk", "created": 1700000000,
    "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_bench00000",
}


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return "data: " + json.dumps({**CHUNK, "choices": [choice], "usage": None}, separators=(",", ":")) + "\n\n"


def events():
    first = chunk({"role": "assistant", "content": "", "refusal": None})
    words = [chunk({"content": f" word{at}"}) for at in range(EVENTS - 3)]
    return [first, *words, chunk({}, "stop"), "data: [DONE]\n\n"]


def answer():
    message = {"role": "assistant", "content": "A gateway sits between. " * 12, "refusal": None, "annotations": []}
    return json.dumps({
        **CHUNK, "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100,
                  "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}},
    })


def request(size, **more):
    turn = {"role": "user", "content": 'Explain "gateway" in one line,\nplease. '}
    body = {"model": "bench", "messages": [dict(turn)], "max_tokens": 64, **more}
    while len(json.dumps(body)) + len(json.dumps(turn["content"])) < size:
        last = body["messages"][-1]
        if len(last["content"]) < 700:
            last["content"] += turn["content"]
        else:
            body["messages"].append({**turn, "role": ("user", "assistant")[len(body["messages"]) % 2]})
    return json.dumps(body)


def nginx(name, directory, http):
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/{name}-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""worker_processes 1;
pid {directory}/{name}.pid;
error_log {directory}/{name}.err warn;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
{temporary}
{http}
}}
"""


def static(port, kind, body):
    # nginx limits one string of its configuration; several variables make a long body.
    pieces = [body[at:at + 3000] for at in range(0, len(body), 3000)]
    sets = "\n".join(f"      set $p{at} '{piece}';" for at, piece in enumerate(pieces))
    whole = "".join(f"${{p{at}}}" for at in range(len(pieces)))
    return f"""  server {{
    listen 127.0.0.1:{port};
    location / {{
      default_type {kind};
{sets}
      return 200 "{whole}";
    }}
  }}"""


def proxy(port, upstream, more=""):
    return f"""  upstream u{upstream} {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://u{upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer upstream-key";
      {more}
    }}
  }}"""


def gateway():
    def entry(group, port, tags):
        base = f"http://127.0.0.1:{port}/v1"
        return {"model_name": group, "litellm_params": {
            "model": "openai/gpt-4o-mini", "api_base": base, "api_key": "upstream-key", "tags": tags}}

    tags = (["eu", "team-a"], ["us", "team-b"], ["ap", "team-a"], ["default"])
    groups = (("bench", UPSTREAM), ("bench-stream", UPSTREAM_STREAM))
    return {
        "model_list": [entry(group, port, each) for group, port in groups for each in tags],
        "router_settings": {"enable_tag_filtering": True, "num_retries": 0},
        "general_settings": {"master_key": KEY},
    }


def main(directory):
    place = pathlib.Path(directory)
    streamed = request(330, stream=True).replace('"bench"', '"bench-stream"')
    files = {
        "small.json": request(300),
        "big.json": request(20_000),
        "stream.json": streamed,
        # JSON is YAML.
        "gateway.yaml": json.dumps(gateway(), indent=1),
        "upstream.conf": nginx("upstream", place, "\n".join([
            static(UPSTREAM, "application/json", answer()),
            static(UPSTREAM_STREAM, "text/event-stream", "".join(events())),
        ])),
        "proxy.conf": nginx("proxy", place, "\n".join([
            proxy(PROXY, UPSTREAM), proxy(PROXY_STREAM, UPSTREAM_STREAM, "proxy_buffering off;"),
        ])),
    }
    for name, text in files.items():
        (place / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
