//! Lists of objects: filtered, ordered, a page at a time.

use super::StoreError;
use super::db::{Arg, Db};
use super::row::{COLUMNS, ObjectRow, Stored, now_millis};
use crate::objects::{Kind, Object};

/// Which objects. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter<'a> {
    pub(crate) ids: Option<&'a [String]>,
    /// The name exactly.
    pub(crate) name: Option<&'a str>,
    /// A part of the name, whatever its case.
    pub(crate) name_part: Option<&'a str>,
    /// The team; of users: one they are member of.
    pub(crate) team: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) organization: Option<&'a str>,
    /// Belongs to one of these organizations, be it as their member.
    pub(crate) organizations: Option<&'a [String]>,
    pub(crate) project: Option<&'a str>,
    pub(crate) budget: Option<&'a str>,
    /// The id, or a part of the name, whatever its case.
    pub(crate) search: Option<&'a str>,
    /// What a user may see and change, by the role's name.
    pub(crate) role: Option<&'a str>,
    /// Carries this tag.
    pub(crate) tag: Option<&'a str>,
    /// Has this user among its members.
    pub(crate) member: Option<&'a str>,
    /// Belongs to this user, or to one of these teams: what somebody may see who may not see everything.
    pub(crate) seen_by: Option<SeenBy<'a>>,
    /// Whether its time is over at this moment: `(true, "2026-01-01T00:00:00Z")` finds what has ended by then.
    pub(crate) ended: Option<(bool, &'a str)>,
    /// Whether it is blocked.
    pub(crate) blocked: Option<bool>,
    /// Was made by this user.
    pub(crate) created_by: Option<&'a str>,
}

/// A user and the teams whose objects it may see.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeenBy<'a> {
    pub(crate) user: &'a str,
    pub(crate) teams: &'a [String],
    /// Whether it may see what it made for others, too.
    pub(crate) made: bool,
}

/// What a list is ordered by; the id decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    #[default]
    Created,
    Updated,
    Name,
    Id,
    Spend,
    MaxBudget,
    /// A text that the object has under this name.
    Text(&'static str),
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Page<'a> {
    pub(crate) order: Order,
    pub(crate) descending: bool,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
    /// Begin after the object with this id, in the order of creation: the same cost on every page.
    pub(crate) after: Option<&'a str>,
}

/// The text that an object has under a name of its JSON, as the database reads it.
fn text_of(name: &str, postgres: bool) -> String {
    if postgres { format!("(body::json ->> '{name}')") } else { format!("json_extract(body, '$.{name}')") }
}

/// The condition of a filter, with its arguments from `$1` on.
pub(super) fn condition(kind: Kind, filter: &Filter<'_>, postgres: bool) -> (String, Vec<Arg>) {
    let mut parts = Vec::new();
    let mut args: Vec<Arg> = Vec::new();
    let mut place = |arg: Arg| {
        args.push(arg);
        format!("${}", args.len())
    };
    let listed = |column: &str, list: &[String], place: &mut dyn FnMut(Arg) -> String| {
        let places: Vec<String> = list.iter().map(|item| place(item.as_str().into())).collect();
        if places.is_empty() { "1 = 0".to_owned() } else { format!("{column} IN ({})", places.join(", ")) }
    };
    if let Some(ids) = filter.ids {
        parts.push(listed("id", ids, &mut place));
    }
    for (column, value) in [
        ("name", filter.name),
        ("team_id", filter.team.filter(|_| kind != Kind::User)),
        ("user_id", filter.user),
        ("organization_id", filter.organization),
        ("project_id", filter.project),
        ("budget_id", filter.budget),
        ("created_by", filter.created_by),
    ] {
        if let Some(value) = value {
            parts.push(format!("{column} = {}", place(value.into())));
        }
    }
    let part_of = |part: &str| {
        let escaped = part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        Arg::Text(format!("%{escaped}%"))
    };
    if let Some(part) = filter.name_part {
        parts.push(format!("lower(name) LIKE {} ESCAPE '\\'", place(part_of(part))));
    }
    if let Some(search) = filter.search {
        let (id, part) = (place(search.into()), place(part_of(search)));
        parts.push(format!("(id = {id} OR lower(name) LIKE {part} ESCAPE '\\')"));
    }
    if let Some(role) = filter.role {
        // Without a role one is an internal user.
        let (text, place) = (text_of("user_role", postgres), place(role.into()));
        parts.push(format!("coalesce({text}, 'internal_user') = {place}"));
    }
    if let Some(team) = filter.team.filter(|_| kind == Kind::User) {
        let place = place(team.into());
        parts.push(format!("id IN (SELECT user_id FROM members WHERE kind = 'team' AND id = {place})"));
    }
    if let Some(organizations) = filter.organizations {
        let own = listed("organization_id", organizations, &mut place);
        parts.push(match kind {
            Kind::User => {
                let members = listed("id", organizations, &mut place);
                format!(
                    "({own} OR id IN (SELECT user_id FROM members WHERE kind = 'organization' AND {members}))"
                )
            }
            _ => own,
        });
    }
    let name = kind.as_str();
    if let Some(tag) = filter.tag {
        let place = place(tag.into());
        parts.push(format!("id IN (SELECT id FROM carried_tags WHERE tag = {place} AND kind = '{name}')"));
    }
    if let Some(user) = filter.member {
        let place = place(user.into());
        parts.push(format!("id IN (SELECT id FROM members WHERE user_id = {place} AND kind = '{name}')"));
    }
    if let Some((ended, at)) = filter.ended {
        let (expires, at) = (text_of("expires", postgres), place(at.into()));
        let before = if postgres {
            format!("{expires}::timestamptz <= {at}::timestamptz")
        } else {
            format!("julianday({expires}) <= julianday({at})")
        };
        let not = if ended { "" } else { "NOT " };
        parts.push(format!("{not}coalesce({before}, false)"));
    }
    if let Some(blocked) = filter.blocked {
        // SQLite reads true as 1.
        let is = if postgres { "= 'true'" } else { "= 1" };
        let not = if blocked { "" } else { "NOT " };
        parts.push(format!("{not}coalesce({} {is}, false)", text_of("blocked", postgres)));
    }
    if let Some(SeenBy { user, teams, made }) = filter.seen_by {
        let mut own = format!("user_id = {}", place(user.into()));
        if made {
            own.push_str(&format!(" OR created_by = {}", place(user.into())));
        }
        parts.push(format!("({own} OR {})", listed("team_id", teams, &mut place)));
    }
    if parts.is_empty() {
        parts.push("1 = 1".to_owned());
    }
    (parts.join(" AND "), args)
}

impl Db {
    /// A page of objects.
    pub(crate) async fn list<T: Object>(
        &self,
        filter: &Filter<'_>,
        page: &Page<'_>,
    ) -> Result<Vec<Stored<T>>, StoreError> {
        let table = T::KIND.table();
        let (mut condition, mut args) = condition(T::KIND, filter, self.is_postgres());
        let (direction, beyond) = if page.descending { ("DESC", "<") } else { ("ASC", ">") };
        if let Some(after) = page.after {
            args.push(after.into());
            let place = args.len();
            condition.push_str(&format!(
                " AND (created_at, id) {beyond} (SELECT created_at, id FROM {table} WHERE id = ${place})"
            ));
        }
        let order = match page.order {
            Order::Created => "created_at".to_owned(),
            Order::Updated => "updated_at".to_owned(),
            Order::Name => "coalesce(name, '')".to_owned(),
            Order::Id => "id".to_owned(),
            Order::Spend => format!(
                "coalesce((SELECT sum(amount) FROM spend WHERE spend.kind = '{}' AND spend.id = {table}.id AND {} < until), 0)",
                T::KIND,
                now_millis()
            ),
            Order::Text(name) => format!("coalesce({}, '')", text_of(name, self.is_postgres())),
            Order::MaxBudget if self.is_postgres() => {
                "coalesce((body::json ->> 'max_budget')::float8, 0)".to_owned()
            }
            Order::MaxBudget => "coalesce(json_extract(body, '$.max_budget'), 0)".to_owned(),
        };
        args.push(page.limit.into());
        args.push(page.offset.into());
        // The page is chosen by index first; bodies are read for it alone.
        let sql = format!(
            "SELECT {COLUMNS} FROM {table} WHERE {condition} ORDER BY {order} {direction}, id {direction} LIMIT ${} OFFSET ${}",
            args.len() - 1,
            args.len()
        );
        let rows: Vec<ObjectRow> = self.all(&sql, &args).await?;
        rows.into_iter().map(Stored::from_row).collect()
    }

    /// How many objects a filter finds.
    pub(crate) async fn count(&self, kind: Kind, filter: &Filter<'_>) -> Result<i64, StoreError> {
        let (condition, args) = condition(kind, filter, self.is_postgres());
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", kind.table());
        Ok(self.one::<(i64,)>(&sql, &args).await?.map_or(0, |(count,)| count))
    }
}
