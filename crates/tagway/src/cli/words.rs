//! A decision in words, for people at a terminal: the JSON of an explanation as lines. Knows no more than that tells, so
//! that what a gateway has kept reads as what `tagway explain` decides.

use serde_json::Value;

/// One decision.
pub(super) fn decision(hop: &Value) -> String {
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| hop[name].as_array().cloned().unwrap_or_default();
    let filtering = if hop["filtering"] == true { "on" } else { "off" };
    let mut lines = vec![format!("model group {}: tag filtering is {filtering}", text(&hop["model_group"]))];
    for tag in list("tags") {
        let known = if tag["known"] == true { "known to the group" } else { "not known to the group" };
        let (name, origin, role) = (text(&tag["tag"]), text(&tag["origin"]), text(&tag["role"]));
        lines.push(format!("  tag {name:<20} from {origin:<10} {role}, {known}"));
    }
    lines.push("steps".to_owned());
    let steps = list("steps");
    lines.extend(steps.iter().map(|step| format!("  {:>5} left  {}", step["left"], text(&step["step"]))));
    lines.push("deployments".to_owned());
    let deployments = list("deployments");
    for verdict in &deployments {
        let mark = if verdict["kept"] == true { "kept   " } else { "dropped" };
        lines.push(format!("  {mark} {:<24} {}", text(&verdict["id"]), text(&verdict["reason"])));
    }
    if let Some(left_out) = hop["deployments_left_out"].as_u64() {
        lines.push(format!("  and {left_out} more"));
    }
    if 1 < deployments.iter().filter(|verdict| verdict["kept"] == true).count() {
        lines.push(format!("among these chooses {}", text(&hop["strategy"])));
    }
    lines.join("\n")
}

/// A request that a gateway has answered, and how it was routed.
pub(super) fn request(told: &Value) -> String {
    let text = |name: &str| told[name].as_str().unwrap_or("-").to_owned();
    let mut lines = vec![
        format!("request {} of {}, {}", text("call_id"), text("began"), text("endpoint")),
        format!("asked for {}, answered {}", text("model"), told["status"]),
    ];
    if let Some(error) = told["error"].as_str() {
        lines.push(format!("error: {error}"));
    }
    if told["deployment"].is_string() {
        lines.push(format!(
            "served by {} of {}, after {} retries and {} fallbacks",
            text("deployment"),
            text("model_group"),
            told["retries"],
            told["fallbacks"]
        ));
    }
    if told["kept"] != true {
        let tags = told["tags"].as_array().cloned().unwrap_or_default();
        lines.extend(tags.iter().map(|tag| {
            let part = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
            format!("  tag {:<20} from {}", part("tag"), part("origin"))
        }));
        lines.push(
            "how it was routed was not kept: that is done for a sample (tag_settings.explain_sample) and for refusals"
                .to_owned(),
        );
        return lines.join("\n");
    }
    if let Some(agent) = told["decision"]["user_agent"].as_str() {
        lines.push(format!("User-Agent: {agent}"));
    }
    lines.extend(told["decision"]["hops"].as_array().into_iter().flatten().map(decision));
    lines.join("\n")
}
