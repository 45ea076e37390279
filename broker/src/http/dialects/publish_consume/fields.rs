//! The members of a request's body, and parameters of its query, each of its type; what is not is
//! collected.

use super::Refused;
use super::invalid::{Loc, Problem, Problems, Step};
use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use std::fmt::Display;
use weir_protocol::{RawObject, is_object};

/// Most messages or letters of one answer.
const MAX_COUNT: i64 = 1000;

/// A body that is an object.
pub(super) struct Fields<'a> {
    body: &'a Bytes,
    object: RawObject<'a>,
    whole: &'a RawValue,
    problems: Problems,
}

impl<'a> Fields<'a> {
    pub(super) fn read(body: &'a Bytes) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|e| Problem::json(e.valid_up_to(), "the body is not UTF-8"))?;
        if text.trim_ascii().is_empty() {
            return Err(Problem::missing(vec!["body".into()], &()));
        }
        let no_json = |e: serde_json::Error| Problem::json(position(text, &e), &e.to_string());
        let whole: &RawValue = serde_json::from_str(text).map_err(no_json)?;
        if !is_object(body) {
            let msg = "Input should be a valid dictionary or object to extract fields from";
            let loc = vec!["body".into()];
            return Err(Problem::new("model_attributes_type", loc, msg, whole));
        }
        Ok(Self {
            body,
            object: RawObject::parse(text).map_err(no_json)?,
            whole,
            problems: Problems::default(),
        })
    }

    /// A text that must be there. `None`: something is wrong.
    pub(super) fn text<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = self
            .required(name)
            .and_then(|value| text(body_loc(name), value, parse));
        self.keep(read)
    }

    /// A text that may be absent or `null`: then it is as if it was empty.
    pub(super) fn optional_text<T: Default, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = match self.optional(name) {
            None => Ok(T::default()),
            Some(value) => text(body_loc(name), value, parse),
        };
        self.keep(read)
    }

    /// A list of texts that must be there.
    pub(super) fn texts<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.required(name).and_then(|value| {
            let items = serde_json::from_str::<Vec<&RawValue>>(value.get());
            items.map_err(|_| wrong_type(body_loc(name), "list_type", "list", value))
        });
        let read = items.map(|items| {
            let of_item = |(index, item)| {
                let mut loc = body_loc(name);
                loc.push(Step::Index(index));
                text(loc, item, &parse)
            };
            items
                .into_iter()
                .enumerate()
                .map(of_item)
                .collect::<Vec<_>>()
        });
        let texts = self.keep(read)?;
        let texts: Vec<_> = texts.into_iter().map(|text| self.keep(text)).collect();
        texts.into_iter().collect()
    }

    /// An object that must be there, as it was sent.
    pub(super) fn object(&mut self, name: &'static str) -> Option<Bytes> {
        let read = self.required(name).and_then(|value| {
            let sent = value.get().as_bytes();
            match is_object(sent) {
                true => Ok(self.body.slice_ref(sent)),
                false => Err(wrong_type(body_loc(name), "dict_type", "dictionary", value)),
            }
        });
        self.keep(read)
    }

    /// A whole number that may be absent or `null`.
    pub(super) fn optional_integer(&mut self, name: &'static str) {
        let read = match self.optional(name) {
            Some(value) if serde_json::from_str::<i64>(value.get()).is_err() => {
                Err(wrong_type(body_loc(name), "int_type", "integer", value))
            }
            _ => Ok(()),
        };
        self.keep(read);
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// All that is wrong.
    pub(super) fn refused(self) -> Refused {
        Refused::Invalid(self.problems)
    }

    fn required(&self, name: &'static str) -> Result<&RawValue, Problem> {
        let missing = || Problem::missing(body_loc(name), self.whole);
        self.object.get(name).ok_or_else(missing)
    }

    fn optional(&self, name: &'static str) -> Option<&RawValue> {
        let value = self.object.get(name);
        value.filter(|value| value.get() != RawValue::NULL.get())
    }

    fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.add(problem)).ok()
    }
}

fn body_loc(name: &'static str) -> Loc {
    vec!["body".into(), name.into()]
}

fn text<T, E: Display>(
    loc: Loc,
    value: &RawValue,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Problem> {
    if !value.get().starts_with('"') {
        return Err(wrong_type(loc, "string_type", "string", value));
    }
    let text: String =
        serde_json::from_str(value.get()).map_err(|e| Problem::value(loc.clone(), &e, value))?;
    parse(&text).map_err(|e| Problem::value(loc, &e, value))
}

fn wrong_type(loc: Loc, kind: &'static str, wanted: &str, value: &RawValue) -> Problem {
    Problem::new(
        kind,
        loc,
        format!("Input should be a valid {wanted}"),
        value,
    )
}

/// Where the parser stopped, in characters from 0.
fn position(text: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return text.chars().count();
    }
    let lines = text.split_inclusive('\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = before + error.column().saturating_sub(1);
    text.char_indices()
        .take_while(|(start, _)| *start < at)
        .count()
}

/// A number from 1 to [`MAX_COUNT`] in the query; of one that is given twice the last counts.
pub(super) fn count(query: &str, name: &'static str, default: usize) -> Result<usize, Problem> {
    let given = form_urlencoded::parse(query.as_bytes()).filter(|(given, _)| given == name);
    let Some((_, value)) = given.last() else {
        return Ok(default);
    };
    let problem = |kind, msg| Problem::new(kind, vec!["query".into(), name.into()], msg, &value);
    let Ok(count) = value.trim().parse::<i64>() else {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        return Err(problem("int_parsing", msg.to_owned()));
    };
    match usize::try_from(count) {
        Ok(wanted) if (1..=MAX_COUNT).contains(&count) => Ok(wanted),
        _ if count < 1 => {
            let msg = "Input should be greater than or equal to 1".to_owned();
            Err(problem("greater_than_equal", msg).with_context(json!({"ge": 1})))
        }
        _ => {
            let msg = format!("Input should be less than or equal to {MAX_COUNT}");
            Err(problem("less_than_equal", msg).with_context(json!({"le": MAX_COUNT})))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_found_where_they_are() {
        let at = |text: &str| {
            let error = serde_json::from_str::<&RawValue>(text).unwrap_err();
            position(text, &error)
        };
        assert_eq!(at("{"), 1);
        assert_eq!(at("{x"), 1);
        assert_eq!(at("{\"ü\": x}"), 6);
        assert_eq!(at("{\"a\":1,\n \"b\" 2}"), 13);
        assert_eq!(at("{} {}"), 3);
        assert_eq!(at("nonsense"), 1);
    }
}
