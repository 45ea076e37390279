use crate::table::{Align, render};
use weir_protocol::shapes::DeadLetter;

/// Of a reason, in a table.
const REASON_CHARS: usize = 60;

/// Dead letters, one a line.
pub(super) fn table(letters: &[DeadLetter]) -> String {
    let columns = [
        ("ID", Align::Left),
        ("SINCE", Align::Left),
        ("ATTEMPTS", Align::Right),
        ("KEY", Align::Left),
        ("REASON", Align::Left),
    ];
    let row = |letter: &DeadLetter| {
        let key = letter.key.as_ref().map(|key| key.as_str().to_owned());
        vec![
            letter.id.to_string(),
            letter.timestamp.to_rfc3339(),
            letter.attempts.to_string(),
            key.unwrap_or_default(),
            short(letter.reason.as_deref().unwrap_or_default()),
        ]
    };
    render(&columns, &letters.iter().map(row).collect::<Vec<_>>())
}

/// The beginning of the first line.
fn short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let beginning: String = line.chars().take(REASON_CHARS).collect();
    match beginning.len() == reason.len() {
        true => beginning,
        false => beginning + "…",
    }
}

/// One dead letter, for people.
pub(super) fn describe(letter: &DeadLetter) -> String {
    let mut lines = vec![
        format!("id         {}", letter.id),
        format!("group      {}", letter.group),
        format!("attempts   {}", letter.attempts),
        format!(
            "reason     {}",
            letter.reason.as_deref().unwrap_or("unknown")
        ),
        format!(
            "from       {}/{}@{}, stored {}",
            letter.source_topic,
            letter.source_partition,
            letter.source_offset,
            letter.source_timestamp.to_rfc3339()
        ),
        format!("its id     {}", letter.source_id),
        format!(
            "now in     {}/{}@{}, since {}",
            letter.topic,
            letter.partition,
            letter.offset,
            letter.timestamp.to_rfc3339()
        ),
    ];
    lines.extend(
        letter
            .key
            .as_ref()
            .map(|key| format!("key        {}", key.as_str())),
    );
    let headers = letter.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("header     {name}={value}")));
    lines.push(format!("\n{}", letter.payload.get()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn reasons_fit_a_line() {
        assert_eq!(short("boom"), "boom");
        assert_eq!(short("boom\nat line 3"), "boom…");
        assert_eq!(short(&"é".repeat(70)), "é".repeat(60) + "…");
    }
}
