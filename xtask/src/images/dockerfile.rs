//! What the Dockerfile's last stages declare, for checks that run what they declare.

use anyhow::{Context, bail};

/// The declarations of one stage that a container runtime acts on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// `NAME=value`, in order.
    pub(super) variables: Vec<String>,
    /// Numbers: names would have to be looked up in the image.
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) volumes: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    /// The command; empty without one.
    pub(super) health_check: Vec<String>,
}

/// Reads the stage `name` of a Dockerfile.
///
/// # Errors
/// There is no such stage, or it says something in a form that this does not know.
pub(super) fn stage(dockerfile: &str, name: &str) -> anyhow::Result<Declared> {
    let whole = dockerfile.replace("\\\n", " ");
    let begins = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        matches!(words[..], ["FROM", .., "AS", stage] if stage == name)
    };
    let mut lines = whole.lines().skip_while(|line| !begins(line));
    lines
        .next()
        .with_context(|| format!("no stage {name} in the Dockerfile"))?;
    let mut declared = Declared::default();
    for line in lines.take_while(|line| !line.starts_with("FROM ")) {
        declared.read(line).with_context(|| line.to_owned())?;
    }
    Ok(declared)
}

impl Declared {
    fn read(&mut self, line: &str) -> anyhow::Result<()> {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        match instruction {
            "ENV" => self.variables.extend(words(rest)),
            "VOLUME" => self.volumes.extend(words(rest)),
            "ENTRYPOINT" => self.entrypoint = list(rest)?,
            "HEALTHCHECK" => {
                let (_, command) = rest
                    .split_once("CMD ")
                    .context("a health check without CMD")?;
                self.health_check = list(command)?;
            }
            "USER" => {
                let (user, group) = rest.split_once(':').context("a user without group")?;
                (self.user, self.group) = (user.parse()?, group.parse()?);
            }
            "RUN" | "CMD" => bail!("nothing can run in an empty image"),
            _ => {}
        }
        Ok(())
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

/// The form that needs no shell.
fn list(json: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(json).context("not in the form of a JSON list, which needs no shell")
}

#[cfg(test)]
mod tests {
    use super::super::image::Image;
    use super::*;

    const DOCKERFILE: &str = include_str!("../../../Dockerfile");

    #[test]
    fn every_image_runs_its_binary_as_somebody_without_rights() {
        for image in Image::ALL {
            let declared = stage(DOCKERFILE, image.name()).unwrap();
            let binary = format!("/{}", image.name());
            assert_eq!(declared.entrypoint.join(" "), binary);
            assert!(
                declared.user >= 65532 && declared.group >= 65532,
                "{declared:?}"
            );
            let health_check = match image {
                Image::Weir => Vec::new(),
                _ => vec![binary, "--healthcheck".to_owned()],
            };
            assert_eq!(declared.health_check, health_check);
            let directory = image
                .data_directory()
                .map(|directory| format!("/{directory}"));
            assert_eq!(declared.volumes, Vec::from_iter(directory));
        }
    }

    #[test]
    fn the_version_is_that_of_the_workspace() {
        let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(DOCKERFILE.matches(&version).count(), Image::ALL.len());
    }

    #[test]
    fn lines_that_go_on_are_read_as_one() {
        let text = "FROM a AS b\nUSER 1:2\nFROM scratch AS c\nUSER 3:4\nENV A=1 \\\n    B=2\n";
        let declared = stage(text, "c").unwrap();
        assert_eq!((declared.user, declared.group), (3, 4));
        assert_eq!(declared.variables, ["A=1", "B=2"]);
        assert!(stage(text, "d").is_err());
        assert!(stage("FROM scratch AS c\nENTRYPOINT /weir", "c").is_err());
    }
}
