//! The engine itself: what it renders, and how it refuses.

use serde_json::json;
use weir_chart::{RenderError, Request, render};

#[test]
fn a_release_has_objects_and_notes() {
    let rendered = render(&Request::default_values()).unwrap();
    assert!(!rendered.objects.is_empty());
    assert!(!rendered.notes.is_empty());
    for object in &rendered.objects {
        assert!(object.source().starts_with("weir/templates/"), "{object:?}");
        assert!(!object.kind().is_empty() && !object.name().is_empty());
    }
}

#[test]
fn what_helm_refuses_is_said_in_its_own_words() {
    let nonsense = Request::default_values().with(json!({"broker": "none"}));
    let Err(RenderError::Refused(message)) = render(&nonsense) else {
        panic!("it was rendered");
    };
    assert!(message.contains("broker"), "{message}");
}
