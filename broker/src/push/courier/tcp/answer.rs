//! What a worker answers, one JSON object on a line.
//!
//! | line | meaning |
//! |---|---|
//! | `{"ack":"<receipt>"}` | done |
//! | `{"nack":"<receipt>"}` | not now: again by the group's backoff |
//! | `{"nack":"<receipt>","delay":"5s","reason":"…"}` | not now: again after `delay`; both optional |
//! | `{"nack":"<receipt>","dead_letter":true,"reason":"…"}` | not ever |
//!
//! Other members are passed over.

use crate::push::courier::{MAX_DELAY, shortened};
use crate::push::task::Outcome;
use serde::Deserialize;
use weir_protocol::is_object;
use weir_types::DurationText;

/// Of the reason of a nack, as the native API allows.
const MAX_REASON_BYTES: usize = 1024;
/// Of a line that is no answer, in the reason.
const SHOWN_BYTES: usize = 100;

#[derive(Deserialize)]
struct Answer {
    ack: Option<String>,
    nack: Option<String>,
    delay: Option<DurationText>,
    reason: Option<String>,
    #[serde(default)]
    dead_letter: bool,
}

/// The receipt that `line` is about, and what became of its delivery; or what is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<(String, Outcome), String> {
    let wrong = |why: &dyn std::fmt::Display| {
        let line = String::from_utf8_lossy(line);
        let shown = shortened(&line, SHOWN_BYTES);
        format!("the worker answered {shown:?}: {why}")
    };
    let parsed = serde_json::from_slice(line);
    // An array would be read by position.
    if parsed.is_ok() && !is_object(line) {
        return Err(wrong(&"it is no object"));
    }
    let answer: Answer = parsed.map_err(|error| wrong(&error))?;
    answer.outcome().map_err(|why| wrong(&why))
}

impl Answer {
    fn outcome(self) -> Result<(String, Outcome), String> {
        match (self.ack, self.nack) {
            (Some(receipt), None) => Ok((receipt, Outcome::Done)),
            (None, Some(receipt)) => {
                let reason = self.reason.as_deref().unwrap_or("nacked without a reason");
                let reason = shortened(reason, MAX_REASON_BYTES).to_owned();
                let outcome = nacked(self.delay, self.dead_letter, reason)?;
                Ok((receipt, outcome))
            }
            (Some(_), Some(_)) => Err("it has \"ack\" and \"nack\"".to_owned()),
            (None, None) => Err("it has neither \"ack\" nor \"nack\"".to_owned()),
        }
    }
}

fn nacked(
    delay: Option<DurationText>,
    dead_letter: bool,
    reason: String,
) -> Result<Outcome, String> {
    match (delay, dead_letter) {
        (None, true) => Ok(Outcome::Refused { reason }),
        (Some(_), true) => Err("\"delay\" and \"dead_letter\" exclude each other".to_owned()),
        (Some(delay), false) if delay.0 > MAX_DELAY => {
            let most = DurationText(MAX_DELAY);
            Err(format!("\"delay\" is {delay}; allowed is at most {most}"))
        }
        (delay, false) => Ok(Outcome::Returned {
            delay: delay.map(|delay| delay.0),
            reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn returned(delay: Option<u64>, reason: &str) -> Outcome {
        Outcome::Returned {
            delay: delay.map(Duration::from_secs),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn answers_say_what_became_of_a_delivery() {
        for (line, outcome) in [
            (r#"{"ack":"r"}"#, Outcome::Done),
            (r#" {"ack":"r","took_ms":5} "#, Outcome::Done),
            (r#"{"nack":"r"}"#, returned(None, "nacked without a reason")),
            (
                r#"{"nack":"r","delay":"5s","reason":"busy"}"#,
                returned(Some(5), "busy"),
            ),
            (
                r#"{"nack":"r","delay":"0s"}"#,
                returned(Some(0), "nacked without a reason"),
            ),
            (
                r#"{"nack":"r","dead_letter":true,"reason":"bad task"}"#,
                Outcome::refused("bad task"),
            ),
        ] {
            assert_eq!(
                read(line.as_bytes()),
                Ok(("r".to_owned(), outcome)),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_shown_with_what_is_wrong() {
        for (line, why) in [
            ("ok", "expected value"),
            ("{\"ack\":\"r\"", "EOF"),
            ("[\"r\"]", "invalid length 1"),
            ("[\"r\",null,null,null,false]", "no object"),
            ("{}", "neither"),
            (r#"{"ack":"r","nack":"r"}"#, "\"ack\" and \"nack\""),
            (r#"{"ack":7}"#, "expected a string"),
            (r#"{"nack":"r","delay":5}"#, "expected a string"),
            (r#"{"nack":"r","delay":"soon"}"#, "is no duration"),
            (
                r#"{"nack":"r","delay":"20years"}"#,
                "allowed is at most 12h",
            ),
            (r#"{"nack":"r","delay":"1s","dead_letter":true}"#, "exclude"),
        ] {
            let wrong = read(line.as_bytes()).unwrap_err();
            assert!(wrong.starts_with("the worker answered \""), "{wrong}");
            assert!(wrong.contains(why), "{line}: {wrong}");
        }
        assert!(read(&vec![0xff; 70_000]).unwrap_err().len() < 500);
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let line = format!("{{\"nack\":\"r\",\"reason\":\"{}\"}}", "ä".repeat(2000));
        let Ok((_, Outcome::Returned { reason, .. })) = read(line.as_bytes()) else {
            panic!("it is a nack");
        };
        assert_eq!(reason, "ä".repeat(512));
    }
}
