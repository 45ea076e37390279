//! What an image says to the runtime, from the `Dockerfile` that it is built by.

use std::collections::BTreeMap;
use std::fs;

/// The configuration of one image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// What runs, before a pod's `args`.
    pub(super) entrypoint: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    /// `uid:gid`.
    pub(super) user: String,
    pub(super) stop_signal: String,
}

impl Image {
    /// The image that a pod names, such as `ghcr.io/owner/weir-broker:0.1.0`.
    pub(super) fn named(reference: &str) -> Self {
        let path = weir_chart::root().join("Dockerfile");
        let dockerfile = fs::read_to_string(&path);
        let dockerfile = dockerfile.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::of_target(&dockerfile, target(reference))
    }

    fn of_target(dockerfile: &str, target: &str) -> Self {
        let mut image = Self::default();
        let mut stage = "";
        let text = dockerfile.replace("\\\n", " ");
        for line in text.lines() {
            let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
            match instruction {
                "FROM" => stage = rest.rsplit(" AS ").next().unwrap_or_default().trim(),
                _ if stage == target => image.obey(instruction, rest.trim()),
                _ => {}
            }
        }
        let found = !image.entrypoint.is_empty();
        assert!(found, "the Dockerfile's target {target} has no ENTRYPOINT");
        image
    }

    fn obey(&mut self, instruction: &str, rest: &str) {
        match instruction {
            "ENV" => self.variables.extend(rest.split_whitespace().map(variable)),
            "USER" => self.user = rest.to_owned(),
            "STOPSIGNAL" => self.stop_signal = rest.to_owned(),
            "ENTRYPOINT" => self.entrypoint = serde_json::from_str(rest).expect("the exec form"),
            "CMD" => panic!("CMD {rest}: none of the images has one"),
            _ => {}
        }
    }
}

/// An image is named like the target that makes it.
fn target(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or_default();
    name.split([':', '@']).next().unwrap_or_default()
}

fn variable(assignment: &str) -> (String, String) {
    let (name, value) = assignment.split_once('=').expect("NAME=value");
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_target_says_what_its_image_runs() {
    let dockerfile = "FROM a AS b\nENV X=0\nFROM scratch AS tea\nENV X=1 \\\n    Y=2\nUSER 7:8\n\
        STOPSIGNAL SIGTERM\nENTRYPOINT [\"/tea\", \"--hot\"]\nFROM scratch AS z\nENV X=3\n";
    let image = Image::of_target(dockerfile, target("registry:5000/a/tea:0.1"));
    let variables = [("X", "1"), ("Y", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(image.variables, BTreeMap::from(variables));
    assert_eq!(image.entrypoint, ["/tea", "--hot"]);
    assert_eq!((&*image.user, &*image.stop_signal), ("7:8", "SIGTERM"));
}
