//! Users: the people and services that keys belong to, and what each role may do with teams and users.

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY, chat_body, config, deployment, error};
use crate::teams::{granted, key, read, with};

fn one() -> String {
    let model = |name: &str, tags: &str| {
        deployment(
            name,
            &format!("{name}-{tags}"),
            &format!("model: openai/x, mock_response: a, tags: [{tags}]"),
        )
    };
    config(&[model("m", "default"), model("m", "gold"), model("n", "default")], "")
}

async fn chat(gateway: &Gateway, key: &str, model: &str) -> (u16, String) {
    let request = with(gateway, key, Method::POST, "/chat/completions", &chat_body(model, json!({})));
    let response = request.send().await.unwrap();
    let id = response.headers().get("x-litellm-model-id").map(|id| id.to_str().unwrap().to_owned());
    (response.status().as_u16(), id.unwrap_or_default())
}

#[tokio::test]
async fn a_new_user_comes_with_a_key_that_works() {
    let gateway = Gateway::start(&one());
    let user = json!({
        "user_id": "u1", "user_email": "a@b.c", "user_alias": "Ann", "user_role": "internal_user",
        "models": ["m"], "max_budget": 5, "budget_duration": "30d", "key_alias": "anns", "tags": ["gold"],
        "send_invite_email": true,
    });
    let made = granted(&gateway, "/user/new", user).await;
    let key = made["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("sk-"));
    insta::assert_json_snapshot!(made, {
        ".key" => "[key]", ".key_name" => "[key name]", ".token" => "[digest]", ".token_id" => "[digest]",
        ".created_at" => "[time]", ".updated_at" => "[time]", ".budget_reset_at" => "[time]",
    });
    assert_eq!(chat(&gateway, &key, "m").await, (200, "m-gold".to_owned()));
    assert_eq!(chat(&gateway, &key, "n").await.0, 403);
    granted(&gateway, "/user/update", json!({"user_id": "u1", "tags": [], "models": ["n"]})).await;
    assert_eq!(chat(&gateway, &key, "n").await.0, 403, "the key's own list still holds");
    granted(&gateway, "/user/update", json!({"user_id": "u1", "models": []})).await;
    assert_eq!(chat(&gateway, &key, "m").await, (200, "m-default".to_owned()));
    let keyless = granted(&gateway, "/user/new", json!({"auto_create_key": false})).await;
    assert_eq!((&keyless["key"], &keyless["user_role"]), (&json!(""), &json!(null)));
    assert_eq!(keyless["user_id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn a_user_is_shown_with_keys_and_teams_and_no_secret() {
    let gateway = Gateway::start(&one());
    granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    let teams = json!([{"team_id": "t1", "user_role": "admin", "max_budget_in_team": 2}]);
    let made = granted(&gateway, "/user/new", json!({"user_id": "u1", "teams": teams})).await;
    assert_eq!(made["teams"], json!(["t1"]));
    let key = made["key"].as_str().unwrap();
    let info = gateway.get("/user/info?user_id=u1").send().await.unwrap().text().await.unwrap();
    assert!(!info.contains(key));
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!((&info["user_id"], &info["user_info"]["user_id"]), (&json!("u1"), &json!("u1")));
    assert_eq!((info["keys"].as_array().unwrap().len(), &info["teams"][0]["team_id"]), (1, &json!("t1")));
    let member = &info["teams"][0]["members_with_roles"][1];
    assert_eq!((&member["role"], &member["max_budget_in_team"]), (&json!("admin"), &json!(2.0)));
    assert_eq!(read(&gateway, "/v2/user/info?user_id=u1").await["teams"], json!(["t1"]));
    let own: Value = with(&gateway, key, Method::GET, "/user/info", &json!({}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(own["user_id"], "u1");
    let all = read(&gateway, "/user/info").await;
    assert_eq!((&all["user_id"], all["keys"].as_array().unwrap().len()), (&json!(null), 1));
}

#[tokio::test]
async fn users_are_changed_by_id_or_email() {
    let gateway = Gateway::start(&one());
    let user = json!({"user_id": "u1", "user_email": "a@b.c", "metadata": {"a": 1}, "max_budget": 5});
    granted(&gateway, "/user/new", user).await;
    let change =
        json!({"user_email": "A@B.C", "user_alias": "Ann", "tags": ["x"], "max_budget": null, "spend": 3});
    let changed = granted(&gateway, "/user/update", change).await;
    assert_eq!(changed["user_id"], "u1");
    let data = &changed["data"];
    assert_eq!(data["metadata"], json!({"a": 1, "tags": ["x"]}));
    assert_eq!(
        (&data["user_alias"], &data["max_budget"], &data["spend"]),
        (&json!("Ann"), &json!(null), &json!(3.0))
    );
    let reset = granted(&gateway, "/user/u1/reset_spend", json!({"reset_to": 1})).await;
    assert_eq!((&reset["previous_spend"], &reset["spend"]), (&json!(3.0), &json!(1.0)));
    assert_eq!(read(&gateway, "/v2/user/info?user_id=u1").await["spend"], 1.0);
}

#[tokio::test]
async fn what_makes_no_sense_in_a_user_is_refused() {
    let gateway = Gateway::start(&one());
    granted(&gateway, "/user/new", json!({"user_id": "u1", "user_email": "a@b.c"})).await;
    for (path, body, status, text) in [
        ("/user/new", json!({"user_id": "u1"}), 409, "User with id u1 already exists"),
        ("/user/new", json!({"user_id": "default_user_id"}), 409, "already exists"),
        ("/user/new", json!({"user_email": "A@b.C"}), 409, "User with email A@b.C already exists"),
        ("/user/new", json!({"user_role": "king"}), 400, "user_role"),
        ("/user/new", json!({"budget_duration": "soon"}), 400, "Invalid budget_duration 'soon'"),
        ("/user/new", json!({"password": "geheim"}), 400, "password"),
        ("/user/new", json!({"permissions": {"a": true}}), 400, "'permissions' is not supported"),
        ("/user/new", json!({"teams": ["nope"]}), 404, "Team doesn't exist in db. Team=nope."),
        (
            "/user/new",
            json!({"organizations": ["nope"]}),
            400,
            "Organization not found for organization_id=nope",
        ),
        ("/user/new", json!({"duration": "soon"}), 400, "Invalid duration 'soon'"),
        ("/user/new", json!({"user_email": "x".repeat(256)}), 400, "255"),
        ("/user/update", json!({"user_id": "nope"}), 404, "User not found, passed user_id=nope"),
        ("/user/update", json!({"user_alias": "x"}), 400, "Either user id or user email must be provided"),
        ("/user/delete", json!({}), 400, "user_ids"),
    ] {
        let (got, answer) = error(gateway.post(path, &body)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(got, status, "{path} {body}: {message}");
        assert!(message.contains(text) && !message.contains("geheim"), "{path} {body}: {message}");
    }
    assert_eq!(error(gateway.get("/user/info?user_id=nope")).await.0, 404);
    assert_eq!(error(gateway.get("/user/list?sort_by=password")).await.0, 400);
    // A user that was refused left nothing behind.
    assert_eq!(read(&gateway, "/user/list").await["total"], 1);
}

#[tokio::test]
async fn users_are_deleted_with_their_keys_and_memberships_or_not_at_all() {
    let gateway = Gateway::start(&one());
    granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    let made = granted(&gateway, "/user/new", json!({"user_id": "u1", "teams": ["t1"]})).await;
    granted(&gateway, "/user/new", json!({"user_id": "u2"})).await;
    let key = made["key"].as_str().unwrap();
    let (status, body) = error(gateway.post("/user/delete", &json!({"user_ids": ["u1", "nope"]}))).await;
    assert_eq!((status, &body["error"]["message"]), (404, &json!("User not found, passed user_id=nope")));
    assert_eq!(chat(&gateway, key, "m").await.0, 200);
    assert_eq!(granted(&gateway, "/user/delete", json!({"user_ids": ["u1", "u2"]})).await, json!(2));
    assert_eq!(chat(&gateway, key, "m").await.0, 401);
    let team = read(&gateway, "/team/info?team_id=t1").await;
    assert_eq!(team["team_info"]["members_with_roles"].as_array().unwrap().len(), 1);
    assert_eq!(error(gateway.get("/user/info?user_id=u1")).await.0, 404);
}

#[tokio::test]
async fn users_are_listed_by_role_team_and_name() {
    let gateway = Gateway::start(&one());
    granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    for (id, role, alias) in
        [("ua", "proxy_admin", "C"), ("ub", "internal_user", "B"), ("uc", "internal_user_viewer", "A")]
    {
        let email = format!("{id}@example.com");
        let user = json!({"user_id": id, "user_email": email, "user_role": role, "user_alias": alias, "teams": ["t1"]});
        granted(&gateway, "/user/new", user).await;
    }
    let odd = json!({"user_id": "ud", "metadata": {"user_role": "proxy_admin"}, "auto_create_key": false});
    granted(&gateway, "/user/new", odd).await;
    let ids = async |query: &str| -> Vec<String> {
        let list = read(&gateway, &format!("/user/list?{query}")).await;
        list["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["user_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("sort_by=user_id").await, ["ua", "ub", "uc", "ud"]);
    assert_eq!(ids("sort_by=user_id&sort_order=desc&page=2&page_size=3").await, ["ua"]);
    assert_eq!(ids("sort_by=user_alias&team=t1").await, ["uc", "ub", "ua"]);
    assert_eq!(ids("role=proxy_admin").await, ["ua"]);
    assert_eq!(ids("role=internal_user&sort_by=user_id").await, ["ub", "ud"]);
    assert_eq!(ids("user_ids=ua,uc&sort_by=user_id").await, ["ua", "uc"]);
    assert_eq!(ids("user_email=UB@").await, ["ub"]);
    assert_eq!(ids("search=ud").await, ["ud"]);
    let list = read(&gateway, "/user/list?user_ids=ua").await;
    assert_eq!((&list["total"], &list["total_pages"]), (&json!(1), &json!(1)));
    assert_eq!((&list["users"][0]["key_count"], &list["users"][0]["teams"]), (&json!(1), &json!(["t1"])));
    assert_eq!(error(gateway.get("/user/list?role=king")).await.0, 400);
}

/// Callers by name, each with a key: what LiteLLM's documentation calls them.
async fn callers(gateway: &Gateway) -> Vec<String> {
    for team in ["t1", "t2"] {
        granted(gateway, "/team/new", json!({"team_id": team})).await;
    }
    for (user, role) in [
        ("adm", "proxy_admin"),
        ("vw", "proxy_admin_viewer"),
        ("iu", "internal_user"),
        ("iv", "internal_user_viewer"),
        ("ta", "internal_user"),
        ("tm", "internal_user"),
        ("other", "internal_user"),
        ("spare", "internal_user"),
    ] {
        granted(gateway, "/user/new", json!({"user_id": user, "user_role": role, "auto_create_key": false}))
            .await;
    }
    let members = json!([{"role": "admin", "user_id": "ta"}, {"role": "user", "user_id": "tm"}]);
    granted(gateway, "/team/member_add", json!({"team_id": "t1", "member": members})).await;
    let mut keys = Vec::new();
    for user in ["adm", "vw", "iu", "iv", "ta", "tm"] {
        keys.push(key(gateway, json!({"user_id": user})).await);
    }
    keys.push(key(gateway, json!({})).await);
    keys.push(key(gateway, json!({"team_id": "t1"})).await);
    let service = granted(gateway, "/key/service-account/generate", json!({"team_id": "t1"})).await;
    keys.push(service["key"].as_str().unwrap().to_owned());
    keys
}

const CALLERS: [&str; 9] = ["adm", "vw", "iu", "iv", "ta", "tm", "nouser", "teamkey", "svc"];

/// LiteLLM's answer to each caller, as recorded; 0 for one that would spoil the next rows.
#[tokio::test]
async fn every_role_may_do_what_litellm_lets_it() {
    let gateway = Gateway::start(&one());
    let keys = callers(&gateway).await;
    let post = Method::POST;
    let get = Method::GET;
    let member = json!({"role": "user", "user_id": "other"});
    let only_admin = [200, 403, 401, 401, 401, 401, 401, 401, 401];
    let rows = [
        (&post, "/team/new", json!({}), only_admin),
        (
            &post,
            "/team/update",
            json!({"team_id": "t1", "team_alias": "x"}),
            [200, 403, 403, 403, 403, 403, 403, 403, 403],
        ),
        (
            &post,
            "/team/update",
            json!({"team_id": "t2", "team_alias": "x"}),
            [200, 403, 403, 403, 403, 403, 403, 403, 403],
        ),
        (
            &Method::PATCH,
            "/team/t1",
            json!({"team_alias": "x"}),
            [200, 403, 403, 403, 403, 403, 403, 403, 403],
        ),
        (&get, "/team/info?team_id=t1", json!({}), [200, 200, 403, 403, 200, 200, 403, 200, 200]),
        (&get, "/team/info?team_id=t2", json!({}), [200, 200, 403, 403, 403, 403, 403, 403, 403]),
        (&get, "/team/info?team_id=nope", json!({}), [404, 404, 403, 403, 403, 403, 403, 403, 403]),
        (&get, "/team/list", json!({}), [200, 200, 401, 401, 401, 401, 401, 401, 401]),
        (&get, "/team/list?user_id={me}", json!({}), [200, 200, 200, 200, 200, 200, 401, 401, 401]),
        (&get, "/v2/team/list", json!({}), [200, 200, 401, 401, 401, 401, 401, 401, 401]),
        (&get, "/v2/team/list?user_id={me}", json!({}), [200, 200, 200, 200, 200, 200, 401, 401, 401]),
        (&post, "/team/block", json!({"team_id": "t2"}), only_admin),
        (&post, "/team/unblock", json!({"team_id": "t2"}), only_admin),
        (&post, "/team/model/add", json!({"team_id": "t1", "models": ["m"]}), only_admin),
        (&post, "/team/model/delete", json!({"team_id": "t1", "models": ["x"]}), only_admin),
        (
            &post,
            "/team/member_add",
            json!({"team_id": "t2", "member": member}),
            [200, 403, 403, 403, 403, 403, 403, 403, 403],
        ),
        (
            &post,
            "/team/member_add",
            json!({"team_id": "t1", "member": member}),
            [0, 403, 403, 403, 200, 403, 403, 403, 403],
        ),
        (
            &post,
            "/team/member_update",
            json!({"team_id": "t1", "user_id": "tm", "max_budget_in_team": 1}),
            [200, 403, 403, 403, 200, 403, 403, 403, 403],
        ),
        (
            &post,
            "/team/member_update",
            json!({"team_id": "nope", "user_id": "tm"}),
            [400, 403, 403, 403, 403, 403, 403, 403, 403],
        ),
        (
            &post,
            "/team/member_delete",
            json!({"team_id": "t1", "user_id": "other"}),
            [0, 403, 403, 403, 200, 403, 403, 403, 403],
        ),
        (&get, "/team/available", json!({}), [200; 9]),
        (&get, "/team/permissions_list?team_id=t1", json!({}), [200, 200, 403, 403, 200, 403, 403, 403, 403]),
        (
            &post,
            "/team/permissions_update",
            json!({"team_id": "t1", "team_member_permissions": []}),
            [200, 403, 403, 403, 200, 403, 403, 403, 403],
        ),
        (&post, "/team/t1/reset_spend", json!({"reset_to": 0}), only_admin),
        (&post, "/team/delete", json!({"team_ids": ["t2"]}), only_admin),
        (&post, "/user/new", json!({}), only_admin),
        (&post, "/user/update", json!({"user_id": "{me}", "user_alias": "x"}), only_admin),
        (&post, "/user/update", json!({"user_id": "other", "user_alias": "x"}), only_admin),
        (&post, "/user/other/reset_spend", json!({"reset_to": 0}), only_admin),
        (&get, "/user/info", json!({}), [200, 200, 200, 200, 200, 200, 404, 404, 404]),
        (&get, "/user/info?user_id=other", json!({}), [200, 200, 403, 403, 403, 403, 403, 403, 403]),
        (&get, "/v2/user/info?user_id=other", json!({}), [200, 200, 404, 404, 404, 404, 404, 404, 404]),
        (&get, "/user/list", json!({}), [200, 200, 403, 403, 403, 403, 403, 403, 403]),
        (&post, "/user/delete", json!({"user_ids": ["spare"]}), only_admin),
    ];
    let mut wrong = Vec::new();
    for (method, path, body, expected) in rows {
        for ((caller, key), expected) in CALLERS.iter().zip(&keys).zip(expected) {
            if expected == 0 {
                continue;
            }
            let path = path.replace("{me}", caller);
            let body: Value = serde_json::from_str(&body.to_string().replace("{me}", caller)).unwrap();
            let status = with(&gateway, key, method.clone(), &path, &body).send().await.unwrap().status();
            if status != expected {
                wrong.push(format!("{caller}: {method} {path} {body}: {status}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn roles_and_money_are_not_given_by_those_who_may_only_call_the_path() {
    let gateway = Gateway::start(&one());
    granted(&gateway, "/user/new", json!({"user_id": "iu", "max_budget": 1})).await;
    let key = key(&gateway, json!({"user_id": "iu", "allowed_routes": ["/user/*"]})).await;
    let ask = |path: &str, body: Value| with(&gateway, &key, Method::POST, path, &body);
    for (path, body) in [
        ("/user/new", json!({"user_role": "proxy_admin"})),
        ("/user/new", json!({"user_role": "internal_user"})),
        ("/user/new", json!({"tags": ["gold"]})),
        ("/user/new", json!({"metadata": {"tier": "paid"}})),
        ("/user/update", json!({"user_id": "iu", "user_role": "proxy_admin"})),
        ("/user/update", json!({"user_id": "iu", "max_budget": 100})),
        ("/user/update", json!({"user_id": "iu", "tags": ["gold"]})),
        ("/user/update", json!({"user_id": "iu", "spend": 0})),
        ("/user/delete", json!({"user_ids": ["iu"]})),
    ] {
        assert_eq!(error(ask(path, body.clone())).await.0, 403, "{path} {body}");
    }
    let named = json!({"user_id": "iu", "user_alias": "me"});
    assert_eq!(ask("/user/update", named).send().await.unwrap().status(), 200);
    let role = json!({"user_id": "iu", "user_role": "proxy_admin"});
    let request = with(&gateway, KEY, Method::POST, "/user/update", &role);
    assert_eq!(request.send().await.unwrap().status(), 200);
}
