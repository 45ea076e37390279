//! What a request says wrong, in the words of FastAPI, which this broker's clients know:
//! `{"detail":[{"type","loc","msg","input","ctx"?}]}`.
//!
//! | type | when |
//! |---|---|
//! | `json_invalid` | the body is no JSON; `loc` ends with the character, counted from 0 |
//! | `model_attributes_type` | it is no object |
//! | `missing` | a member is missing |
//! | `string_type`, `list_type`, `dict_type`, `int_type` | a member is of another type |
//! | `int_parsing`, `greater_than_equal`, `less_than_equal` | a parameter is no number, or out of range |
//! | `value_error` | of the right type, but no legal name, or JSON that not every parser accepts |

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::fmt::Display;
use weir_protocol::check_json;

/// Problems that are listed at most: a list may hold as many as fit into a body.
const MAX_PROBLEMS: usize = 64;
/// What is longer, or not JSON to every parser, is not repeated in the answer: `input` is `null` then.
const MAX_INPUT_BYTES: usize = 4096;

/// A step on the way to what is wrong.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Step {
    Name(&'static str),
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

/// Where something is wrong.
pub(super) type Loc = Vec<Step>;

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Loc,
    msg: String,
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl Problem {
    /// A problem with what was sent.
    pub(super) fn new(
        kind: &'static str,
        loc: Loc,
        msg: impl Into<String>,
        input: &(impl Serialize + ?Sized),
    ) -> Self {
        let input = to_raw_value(input).ok();
        let input = input.filter(|input| may_be_repeated(input.get()));
        Self {
            kind,
            loc,
            msg: msg.into(),
            input: input.unwrap_or_else(|| RawValue::NULL.to_owned()),
            ctx: None,
        }
    }

    /// The body is no JSON, from this character on.
    pub(super) fn json(position: usize, reason: &str) -> Self {
        let loc = vec!["body".into(), Step::Index(position)];
        let problem = Self::new("json_invalid", loc, "JSON decode error", &json!({}));
        problem.with_context(json!({"error": reason}))
    }

    /// A member of the body is missing.
    pub(super) fn missing(loc: Loc, body: &(impl Serialize + ?Sized)) -> Self {
        Self::new("missing", loc, "Field required", body)
    }

    /// Of the right type, but refused.
    pub(super) fn value(
        loc: Loc,
        reason: &impl Display,
        input: &(impl Serialize + ?Sized),
    ) -> Self {
        Self::new("value_error", loc, format!("Value error, {reason}"), input)
    }

    /// What the limit is.
    pub(super) fn with_context(self, context: Value) -> Self {
        Self {
            ctx: Some(context),
            ..self
        }
    }
}

fn may_be_repeated(input: &str) -> bool {
    input.len() <= MAX_INPUT_BYTES && check_json(input).is_ok()
}

/// All that is wrong with a request, in the order it was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Problems {
    detail: Vec<Problem>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        if self.detail.len() < MAX_PROBLEMS {
            self.detail.push(problem);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.detail.is_empty()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            detail: vec![problem],
        }
    }
}
