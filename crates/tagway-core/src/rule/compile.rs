//! From the text of a condition to what is answered: names and types are checked, and what it may cost is bounded.

use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::Parser;
use regex::RegexBuilder;

use super::BadCondition;
use super::names::{Named, literal};
use super::program::{Asks, Bool, MOST_COST, Number, Order, Program, Text};
use crate::config::nearest;

/// A longer condition is refused.
const LONGEST: usize = 2048;
/// Brackets may be within each other so many times, …
const DEEPEST: usize = 16;
/// … and there may be so many choices, and steps from part to part.
const MOST_CHOICES: usize = 16;
const MOST_STEPS: usize = 128;
/// A regular expression may take so many bytes when it is compiled.
const REGEX_BYTES: usize = 256 << 10;

const FUNCTIONS: [&str; 9] =
    ["startsWith", "endsWith", "contains", "matches", "lowerAscii", "size", "sticky", "exists", "all"];

/// Operators whose result is a truth value.
const TRUTHS: [&str; 11] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::CONDITIONAL,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
];

/// What a part of a condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    Number,
    Text,
    Tags,
    Headers,
    /// Something of metadata: what it is compared with says what it should be.
    Any,
    List,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Tags => "a list of tags",
            Self::Headers => "the headers",
            Self::Any => "a field of metadata",
            Self::List => "a list",
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, BadCondition>;

impl Program {
    /// Compiles a condition.
    ///
    /// # Errors
    /// It is not CEL, names what there is not, compares what cannot be compared, or could take too long.
    pub fn compile(text: &str) -> Result<Self> {
        let bad = |message: String| BadCondition { message, help: None, at: None };
        if LONGEST < text.len() {
            return Err(bad(format!("a condition may have {LONGEST} bytes, not {}", text.len())));
        }
        shallow(text).map_err(|message| bad(message.to_owned()))?;
        let parser = Parser::new().error_recovery_limit(1);
        let (expr, source) = parser.parse_with_source_info(text).map_err(|errors| {
            let first = errors.errors.first();
            let column = first.and_then(|error| usize::try_from(error.pos.1).ok());
            let said = first.map_or("", |error| error.msg.as_str());
            BadCondition {
                message: format!("not CEL: {}", said.lines().next().unwrap_or_default()),
                help: None,
                at: column.filter(|_| !text.contains('\n')).map(|column| column.saturating_sub(1)),
            }
        })?;
        let mut compiler = Compiler { source: &source, vars: Vec::new() };
        let root = compiler.bool(&expr)?;
        let cost = root.cost();
        if MOST_COST < cost {
            return Err(bad(format!(
                "could keep a request waiting: it may cost {cost}, and {MOST_COST} is the most"
            )));
        }
        let mut asks = Asks::default();
        root.asks(&mut asks);
        Ok(Self { root: Arc::new(root), cost, asks })
    }
}

/// Refuses what would take the parser too deep: it calls itself for every level, and has no bound for all of them.
fn shallow(text: &str) -> std::result::Result<(), &'static str> {
    let (mut depth, mut choices, mut steps) = (0_usize, 0, 0);
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '(' | '[' | '{') => {
                depth += 1;
                steps += usize::from(char == '[');
            }
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '?') => choices += 1,
            (None, '.') => steps += 1,
            (None, _) => {}
        }
        if DEEPEST < depth || MOST_CHOICES < choices {
            return Err("too many parts are within each other");
        }
        if MOST_STEPS < steps {
            return Err("too many parts");
        }
    }
    Ok(())
}

/// What a condition is compiled with.
pub(super) struct Compiler<'s> {
    source: &'s SourceInfo,
    /// Names of the tags that are looked at, the innermost last.
    pub(super) vars: Vec<String>,
}

#[expect(clippy::cast_precision_loss, reason = "CEL's doubles")]
fn number_of(expr: &IdedExpr) -> Option<f64> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner() as f64),
        Expr::Literal(LiteralValue::UInt(number)) => Some(*number.inner() as f64),
        Expr::Literal(LiteralValue::Double(number)) => Some(*number.inner()),
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::NEGATE => {
            Some(-number_of(args.first()?)?)
        }
        _ => None,
    }
}

impl Compiler<'_> {
    fn at(&self, expr: &IdedExpr) -> Option<usize> {
        self.source.offset_for(expr.id).and_then(|(start, _)| usize::try_from(start).ok())
    }

    pub(super) fn bad<T>(
        &self,
        expr: &IdedExpr,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Result<T> {
        Err(BadCondition { message: message.into(), help, at: self.at(expr) })
    }

    fn type_of(&self, expr: &IdedExpr) -> Result<Type> {
        if number_of(expr).is_some() {
            return Ok(Type::Number);
        }
        match &expr.expr {
            Expr::Literal(LiteralValue::Boolean(_)) | Expr::Comprehension(_) => return Ok(Type::Bool),
            Expr::Literal(LiteralValue::String(_)) => return Ok(Type::Text),
            Expr::List(_) => return Ok(Type::List),
            Expr::Select(select) if select.test => return Ok(Type::Bool),
            _ => {}
        }
        if let Some(named) = self.named(expr)? {
            return Ok(match named {
                Named::Text(_) | Named::Header(_) | Named::Var(_) => Type::Text,
                Named::Headers => Type::Headers,
                Named::Tags(_) => Type::Tags,
                Named::Field(_) => Type::Any,
                Named::Stream | Named::Pii => Type::Bool,
                Named::Tokens => Type::Number,
            });
        }
        if let Expr::Call(call) = &expr.expr {
            return match call.func_name.as_str() {
                "size" | "sticky" => Ok(Type::Number),
                "lowerAscii" => Ok(Type::Text),
                "startsWith" | "endsWith" | "contains" | "matches" => Ok(Type::Bool),
                name if TRUTHS.contains(&name) => Ok(Type::Bool),
                _ => self.unknown(expr, call),
            };
        }
        self.bad(expr, "not supported in a condition", None)
    }

    fn unknown<T>(&self, expr: &IdedExpr, call: &CallExpr) -> Result<T> {
        let name = call.func_name.as_str();
        if !name.chars().all(|c| c.is_alphanumeric() || c == '_') || name.starts_with('_') {
            let shown = name.trim_matches('_');
            return self.bad(expr, format!("`{shown}` is not supported in a condition"), None);
        }
        let near = nearest(name, FUNCTIONS.into_iter()).filter(|near| *near != name);
        let help = near.map_or_else(
            || format!("there are `{}`", FUNCTIONS.join("`, `")),
            |near| format!("did you mean `{near}`?"),
        );
        let count = call.args.len();
        self.bad(expr, format!("there is no function `{name}` with {count} arguments"), Some(help))
    }

    fn bool(&mut self, expr: &IdedExpr) -> Result<Bool> {
        match &expr.expr {
            Expr::Literal(LiteralValue::Boolean(is)) => Ok(Bool::Is(*is.inner())),
            Expr::Select(select) if select.test => self.has(&select.operand, &select.field),
            Expr::Comprehension(over) => self.tags(expr, over),
            Expr::Call(call) if call.func_name != operators::INDEX => self.call(expr, call),
            _ => match self.named(expr)? {
                Some(Named::Stream) => Ok(Bool::Stream),
                Some(Named::Pii) => Ok(Bool::Pii),
                Some(Named::Field(field)) if !field.path.is_empty() => Ok(Bool::Field(field)),
                _ => {
                    let found = self.type_of(expr)?.name();
                    self.bad(expr, format!("must be a truth value, and is {found}"), None)
                }
            },
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Bool> {
        let name = call.func_name.as_str();
        let order = match name {
            operators::LESS => Some(Order::Less),
            operators::LESS_EQUALS => Some(Order::AtMost),
            operators::GREATER_EQUALS => Some(Order::AtLeast),
            operators::GREATER => Some(Order::More),
            _ => None,
        };
        match (name, call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, all) => {
                Ok(Bool::All(all.iter().map(|one| self.bool(one)).collect::<Result<_>>()?))
            }
            (operators::LOGICAL_OR, None, all) => {
                Ok(Bool::Any(all.iter().map(|one| self.bool(one)).collect::<Result<_>>()?))
            }
            (operators::LOGICAL_NOT, None, [one]) => Ok(Bool::Not(Box::new(self.bool(one)?))),
            (operators::CONDITIONAL, None, [when, then, or]) => {
                Ok(Bool::Choose(Box::new([self.bool(when)?, self.bool(then)?, self.bool(or)?])))
            }
            (operators::EQUALS, None, [one, other]) => self.equal(expr, one, other),
            (operators::NOT_EQUALS, None, [one, other]) => {
                Ok(Bool::Not(Box::new(self.equal(expr, one, other)?)))
            }
            (operators::IN, None, [one, among]) => self.one_of(one, among),
            (_, None, [one, other]) if let Some(order) = order => {
                Ok(Bool::Compare(self.number(one)?, order, self.number(other)?))
            }
            ("startsWith", Some(text), [start]) => Ok(Bool::Starts(self.text(text)?, self.text(start)?)),
            ("endsWith", Some(text), [end]) => Ok(Bool::Ends(self.text(text)?, self.text(end)?)),
            ("contains", Some(text), [part]) => Ok(Bool::Contains(self.text(text)?, self.text(part)?)),
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                self.matches(text, pattern)
            }
            ("size" | "sticky" | "lowerAscii", ..) => {
                let found = self.type_of(expr)?.name();
                self.bad(expr, format!("must be a truth value, and is {found}"), None)
            }
            _ => self.unknown(expr, call),
        }
    }

    /// `has(…)`
    fn has(&mut self, operand: &IdedExpr, field: &str) -> Result<Bool> {
        match self.named(operand)? {
            Some(Named::Headers) => Ok(Bool::HasHeader(self.header(operand, field)?)),
            Some(Named::Field(mut own)) => {
                own.path.push(field.into());
                Ok(Bool::HasField(own))
            }
            _ => self.bad(
                operand,
                "`has` is for headers and metadata: everything else is always there",
                Some("compare a text with \"\"".to_owned()),
            ),
        }
    }

    /// `request.tags.exists(tag, …)` and `.all(tag, …)`.
    fn tags(&mut self, expr: &IdedExpr, over: &ComprehensionExpr) -> Result<Bool> {
        let Some(Named::Tags(of)) = self.named(&over.iter_range)? else {
            return self.bad(&over.iter_range, "only tags can be looked through", None);
        };
        let step = match &over.loop_step.expr {
            Expr::Call(call) if over.iter_var2.is_none() => match (call.func_name.as_str(), &*call.args) {
                (operators::LOGICAL_OR, [_, such]) => Some((false, such)),
                (operators::LOGICAL_AND, [_, such]) => Some((true, such)),
                _ => None,
            },
            _ => None,
        };
        let plain = matches!(&over.result.expr, Expr::Ident(name) if *name == over.accu_var);
        let Some((every, such)) = step.filter(|_| plain) else {
            return self.bad(expr, "of lists there are `exists` and `all`", None);
        };
        self.vars.push(over.iter_var.clone());
        let such = self.bool(such);
        self.vars.pop();
        Ok(Bool::Tags { of, every, such: Box::new(such?) })
    }

    fn equal(&mut self, expr: &IdedExpr, one: &IdedExpr, other: &IdedExpr) -> Result<Bool> {
        let types = [self.type_of(one)?, self.type_of(other)?];
        match types {
            [Type::Text, Type::Text | Type::Any] | [Type::Any, Type::Text] => {
                Ok(Bool::Equal(self.text(one)?, self.text(other)?))
            }
            [Type::Number, Type::Number | Type::Any] | [Type::Any, Type::Number] => {
                Ok(Bool::Compare(self.number(one)?, Order::Equal, self.number(other)?))
            }
            [Type::Bool, Type::Bool | Type::Any] | [Type::Any, Type::Bool] => {
                Ok(Bool::Same(Box::new([self.bool(one)?, self.bool(other)?])))
            }
            [one, other] => {
                self.bad(expr, format!("{} cannot be compared with {}", one.name(), other.name()), None)
            }
        }
    }

    fn one_of(&mut self, one: &IdedExpr, among: &IdedExpr) -> Result<Bool> {
        match self.type_of(among)? {
            Type::Tags => match self.named(among)? {
                Some(Named::Tags(of)) => Ok(Bool::HasTag(of, self.text(one)?)),
                _ => self.bad(among, "not supported in a condition", None),
            },
            Type::Headers | Type::Any => match literal(one) {
                Some(name) => self.has(among, name),
                None => self.bad(one, "the name must be written out", None),
            },
            Type::List => {
                let Expr::List(list) = &among.expr else {
                    return self.bad(among, "not supported in a condition", None);
                };
                if let Some(numbers) = list.elements.iter().map(number_of).collect::<Option<Vec<_>>>()
                    && self.type_of(one)? != Type::Text
                {
                    return Ok(Bool::NumberOneOf(self.number(one)?, numbers));
                }
                let texts = list.elements.iter().map(|element| literal(element).map(Box::from));
                match texts.collect::<Option<Vec<_>>>() {
                    Some(texts) => Ok(Bool::OneOf(self.text(one)?, texts)),
                    None => self.bad(among, "must be a list of texts, or of numbers, written out", None),
                }
            }
            other => self.bad(among, format!("nothing is in {}", other.name()), None),
        }
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Bool> {
        let Some(given) = literal(pattern) else {
            return self.bad(pattern, "the pattern must be written out", None);
        };
        // Matching takes time in proportion to the text, whatever the pattern: the bounds are for memory.
        match RegexBuilder::new(given).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build() {
            Ok(regex) => Ok(Bool::Matches(self.text(text)?, regex)),
            Err(regex::Error::CompiledTooBig(_)) => self.bad(pattern, "the pattern is too large", None),
            Err(error) => {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.bad(pattern, format!("the pattern cannot be read: {last}"), None)
            }
        }
    }

    fn text(&mut self, expr: &IdedExpr) -> Result<Text> {
        if let Some(text) = literal(expr) {
            return Ok(Text::Is(text.into()));
        }
        if let Expr::Call(call) = &expr.expr
            && call.func_name == "lowerAscii"
            && call.args.is_empty()
            && let Some(text) = &call.target
        {
            return Ok(Text::Lower(Box::new(self.text(text)?)));
        }
        match self.named(expr)? {
            Some(Named::Text(field)) => Ok(Text::Field(field)),
            Some(Named::Header(name)) => {
                let wrong = format!("there is no header `{name}`").into();
                Ok(Text::Header(name, wrong))
            }
            Some(Named::Field(field)) if !field.path.is_empty() => Ok(Text::Meta(field)),
            Some(Named::Var(out)) => Ok(Text::Tag(out)),
            _ => {
                let found = self.type_of(expr)?.name();
                self.bad(expr, format!("must be a text, and is {found}"), None)
            }
        }
    }

    fn number(&mut self, expr: &IdedExpr) -> Result<Number> {
        if let Some(number) = number_of(expr) {
            return Ok(Number::Is(number));
        }
        if let Expr::Call(call) = &expr.expr {
            match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
                ("sticky", None, [text, salt]) => {
                    return Ok(Number::Sticky(self.text(text)?, self.text(salt)?));
                }
                ("size", None, [of]) => return self.size(of),
                ("size", Some(of), []) => return self.size(of),
                _ => {}
            }
        }
        match self.named(expr)? {
            Some(Named::Tokens) => Ok(Number::Tokens),
            Some(Named::Field(field)) if !field.path.is_empty() => Ok(Number::Field(field)),
            _ => {
                let found = self.type_of(expr)?.name();
                self.bad(expr, format!("must be a number, and is {found}"), None)
            }
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Result<Number> {
        match self.named(of)? {
            Some(Named::Tags(owner)) => Ok(Number::Count(owner)),
            _ => Ok(Number::Length(self.text(of)?)),
        }
    }
}
