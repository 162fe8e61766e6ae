"""Writes the two configurations of bench/resilience; the rest is bench/ledger's."""

import json
import pathlib

import files
import ledger

PLENTY = 1_000_000


def write(directory):
    gateway = files.gateway()
    entries = gateway["model_list"]
    # Three that the tags allow, so that there is something to choose from.
    gateway["model_list"] = [{**entry, "model_info": {"id": f"{at}-{copy}"}}
                             for at, entry in enumerate(entries) for copy in range(3)]
    gateway["router_settings"] |= {"disable_cooldowns": True, "retry_budget": False}
    pathlib.Path(directory, "off.yaml").write_text(json.dumps(gateway, indent=1))
    for entry in gateway["model_list"]:
        entry["litellm_params"] |= {"rpm": PLENTY * 100, "tpm": PLENTY * 10000, "max_parallel_requests": PLENTY,
                                    "region_name": "eu"}
        entry["model_info"]["max_input_tokens"] = 128_000
    gateway["router_settings"] = {
        "enable_tag_filtering": True, "routing_strategy": "power-of-two", "num_retries": 2, "timeout": 60,
        "retry_policy": {"TimeoutErrorRetries": 1, "RateLimitErrorRetries": 3}, "cooldown_time": 5,
        "allowed_fails_policy": {"InternalServerErrorAllowedFails": 5},
        "outlier_ejection": {"latency_factor": 5, "min_requests": 20},
        "enable_pre_call_checks": True, "fallbacks": [{"bench": ["bench-stream"]}],
    }
    gateway["general_settings"] |= {
        "global_max_parallel_requests": PLENTY, "max_queued_requests": 100,
        "background_health_checks": True, "health_check_interval": 30,
    }
    gateway["tags"] = [{"name": "eu", "priority": "high"}, {"name": "batch:*", "priority": "low"}]
    gateway["litellm_settings"] = {"callbacks": ["prometheus"]}
    pathlib.Path(directory, "on.yaml").write_text(json.dumps(gateway, indent=1))


def key(way):
    """A key of a team; requests must stay in their region where everything is on."""
    bound = {"allowed_model_region": "eu"} if way == "on" else {}
    ledger.ask(way, "/team/new", {"team_id": "bench", **bound})
    return ledger.ask(way, "/key/generate", {"team_id": "bench"})["key"]


if __name__ == "__main__":
    ledger.main(write, key)
