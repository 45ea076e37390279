//! How lives end and the next ones begin.

use super::expected::{End, ModelTopic};
use super::world::{TOPICS, World};
use crate::rig::open_with;
use weir_commitlog::faulty::Fault;
use weir_commitlog::{Opened, StorageError, TopicFiles};

impl World {
    /// Kill or power cut, also several in a row and in the middle of a start; then all is checked,
    /// and the model learns what became of the rest.
    pub(super) fn restart(&mut self, must_cut: bool) {
        self.note_events();
        (self.checkpoint, self.opened) = (None, None);
        let mut end = self.end_life(must_cut);
        while self.rng.u8(..4) == 0 {
            let nth = self.rng.u64(1..120);
            self.disk.fail(match self.rng.u8(..3) {
                0 => Fault::on_any().nth(nth),
                _ => Fault::on_any().from_nth(nth),
            });
            let _cut_short = open_with(&self.disk, self.options).map(drop);
            self.note_events();
            if self.end_life(false) == End::PowerCut {
                end = End::PowerCut;
            }
        }
        self.start(end);
    }

    fn end_life(&mut self, must_cut: bool) -> End {
        self.say("the end of a life");
        if !must_cut && self.rng.u8(..3) == 0 {
            self.disk = self.disk.kill();
            return End::Kept;
        }
        self.disk = self.disk.cut_power(&mut self.rng);
        End::PowerCut
    }

    /// A clean stop, if nothing refuses; the power may go right after it.
    pub(super) fn stop(&mut self) {
        let Some(Opened { store, .. }) = self.opened.take() else {
            return;
        };
        let failures = store.failures();
        let stopped = store.close();
        self.note_events();
        self.disk.heal();
        self.note_result(&stopped);
        if stopped.is_err() || !failures.is_empty() {
            return self.restart(false);
        }
        self.checkpoint = None;
        self.topics.values_mut().for_each(ModelTopic::harden);
        let end = self.end_life(false);
        self.start(end);
        let clean = self.opened.as_ref().map(|opened| opened.after_clean_stop);
        assert_eq!(clean, Some(true));
    }

    fn start(&mut self, end: End) {
        let opened = open_with(&self.disk, self.options).unwrap();
        self.note_events();
        let mut found: Vec<_> = opened.topics.clone();
        self.opened = Some(opened);
        for name in TOPICS {
            let position = found.iter().position(|files| files.name.as_str() == name);
            let files = position.map(|at| found.swap_remove(at));
            self.check_topic(name, files.as_ref(), end);
        }
        assert!(found.is_empty(), "topics nobody created: {found:?}");
    }

    fn check_topic(&mut self, name: &'static str, found: Option<&TopicFiles>, end: End) {
        let Some(found) = found else {
            let lost = self.topics.remove(name);
            assert!(lost.is_none_or(|lost| lost.maybe_gone), "{name} was lost");
            return;
        };
        let attempts = self.maybe_created.remove(name).unwrap_or_default();
        let created = attempts.into_iter().find(|one| one.0 == found.incarnation);
        if let Some((incarnation, settings)) = created {
            assert!(!self.topics.contains_key(name));
            self.topics
                .insert(name, ModelTopic::new(incarnation, settings));
        }
        let model = self.topics.get_mut(name);
        model
            .unwrap_or_else(|| panic!("{name} came back"))
            .check(found, end);
    }

    /// Folds what happened into the trace.
    pub(super) fn note_events(&mut self) {
        for event in self.disk.take_events() {
            self.say(&format!("{event:?}"));
        }
    }

    /// Into the trace, and to whoever replays a seed.
    pub(super) fn say(&mut self, text: &str) {
        if self.is_replay {
            eprintln!("{}: {text}", self.steps);
        }
        for byte in text.bytes() {
            // FNV-1a.
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn note_result<T>(&mut self, result: &Result<T, StorageError>) {
        let text = match result {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        self.say(&text);
    }
}
