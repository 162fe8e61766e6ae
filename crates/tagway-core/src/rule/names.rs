//! The names in a condition: what there is to ask about, and whose it is.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use http::HeaderName;

use super::compile::{Compiler, Result};
use super::program::Field;
use super::{Owner, TextField};
use crate::config::nearest;

const OF_REQUEST_TEXTS: [(&str, TextField); 4] = [
    ("path", TextField::Path),
    ("model", TextField::Model),
    ("user", TextField::EndUser),
    ("session", TextField::Session),
];
const OWNERS: [(&str, Owner); 7] = [
    ("request", Owner::Request),
    ("key", Owner::Key),
    ("team", Owner::Team),
    ("user", Owner::User),
    ("project", Owner::Project),
    ("organization", Owner::Organization),
    ("customer", Owner::Customer),
];
/// What else `request` has.
const OF_REQUEST: [&str; 4] = ["headers", "stream", "tokens", "contains_pii"];
/// What everybody has.
const OF_ALL: [&str; 2] = ["tags", "metadata"];

/// A path of names: `request.headers`, `key.metadata.tier`.
fn path(expr: &IdedExpr) -> Option<Vec<&str>> {
    match &expr.expr {
        Expr::Ident(name) => Some(vec![name]),
        Expr::Select(select) if !select.test => {
            let mut names = path(&select.operand)?;
            names.push(&select.field);
            Some(names)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [of, index] = call.args.as_slice() else { return None };
            let mut names = path(of)?;
            names.push(literal(index)?);
            Some(names)
        }
        _ => None,
    }
}

pub(super) fn literal(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// What a path of names leads to.
pub(super) enum Named {
    Text(TextField),
    Header(HeaderName),
    Headers,
    Tags(Owner),
    Field(Field),
    Stream,
    Pii,
    Tokens,
    Var(usize),
}

impl Compiler<'_> {
    /// What a path of names means; `None` where it is none.
    pub(super) fn named(&self, expr: &IdedExpr) -> Result<Option<Named>> {
        let Some(names) = path(expr) else { return Ok(None) };
        if let [name] = names.as_slice()
            && let Some(out) = self.vars.iter().rev().position(|var| var == name)
        {
            return Ok(Some(Named::Var(out)));
        }
        let unknown = |name: &str, known: Vec<&str>| {
            let near = nearest(name, known.iter().copied());
            let help = near.map_or_else(
                || format!("there are `{}`", known.join("`, `")),
                |near| format!("did you mean `{near}`?"),
            );
            self.bad(expr, format!("there is no `{}`", names.join(".")), Some(help))
        };
        let Some((_, owner)) = OWNERS.iter().find(|(name, _)| *name == names[0]) else {
            return unknown(names[0], OWNERS.iter().map(|(name, _)| *name).collect());
        };
        let Some(second) = names.get(1) else {
            return self.bad(
                expr,
                format!("`{}` is no value of its own", names[0]),
                Some(format!("name a part of it: `{}.{}`", names[0], self.parts(names[0])[0])),
            );
        };
        let of_request = *owner == Owner::Request;
        let text = match *second {
            _ if of_request => {
                OF_REQUEST_TEXTS.iter().find(|(name, _)| name == second).map(|(_, field)| *field)
            }
            "id" => Some(TextField::Id(*owner)),
            "alias" => Some(TextField::Alias(*owner)),
            _ => None,
        };
        Ok(Some(match (*second, names.len()) {
            (_, 2) if let Some(field) = text => Named::Text(field),
            ("stream", 2) if of_request => Named::Stream,
            ("contains_pii", 2) if of_request => Named::Pii,
            ("tokens", 2) if of_request => Named::Tokens,
            ("headers", 2) if of_request => Named::Headers,
            ("headers", 3) if of_request => Named::Header(self.header(expr, names[2])?),
            ("tags", 2) => Named::Tags(*owner),
            ("metadata", _) => {
                let path: Vec<Box<str>> = names[2..].iter().map(|name| (*name).into()).collect();
                Named::Field(Field {
                    of: *owner,
                    wrong: format!("`{}` is not there, or is something else", names.join(".")).into(),
                    path,
                })
            }
            _ if self.parts(names[0]).contains(second) => {
                return self.bad(expr, format!("`{}.{second}` has no parts", names[0]), None);
            }
            _ => return unknown(second, self.parts(names[0])),
        }))
    }

    /// What somebody has, by name.
    fn parts(&self, owner: &str) -> Vec<&'static str> {
        let mut parts: Vec<_> = match owner {
            "request" => OF_REQUEST_TEXTS.iter().map(|(name, _)| *name).chain(OF_REQUEST).collect(),
            _ => vec!["id", "alias"],
        };
        parts.extend(OF_ALL);
        parts
    }

    /// The name of a header.
    pub(super) fn header(&self, expr: &IdedExpr, name: &str) -> Result<HeaderName> {
        name.parse().or_else(|_| self.bad(expr, format!("`{name}` is no name of a header"), None))
    }
}
