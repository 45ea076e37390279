//! What the benches parse: a sample of 200 bytes, as an agent or a sensor sends it.

use bytes::Bytes;

/// A document that a quick look accepts.
pub(crate) fn sample() -> Bytes {
    let head = r#"{"stamp":"@t=00000000001234567890#000000000042@","device":"sensor-0042","kind":"temperature","value":21.4375,"ok":true,"tags":["a","b"],"pad":""#;
    let pad = "x".repeat(200 - head.len() - 2);
    format!("{head}{pad}\"}}").into()
}

/// The same with an exponent, which is left to the judge.
pub(crate) fn rare_sample() -> Bytes {
    let text = String::from_utf8_lossy(&sample()).replace("21.4375", "2.1e1");
    text.into()
}

/// `lines` samples, each with `members` before its payload.
pub(crate) fn batch(lines: usize, members: &str) -> Bytes {
    let sample = sample();
    let payload = String::from_utf8_lossy(&sample);
    format!("{{{members}\"payload\":{payload}}}\n")
        .repeat(lines)
        .into()
}
