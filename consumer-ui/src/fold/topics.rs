//! The topics page: what the broker said, and rates from what it said before.

use super::DeliveryReading;
use super::shapes::{GroupRow, TopicRow, TopicsPage};
use std::collections::BTreeMap;

/// What the broker says of one topic at one time.
#[derive(Clone, Debug)]
pub struct TopicReading {
    /// Its name.
    pub topic: String,
    /// Tells it from an earlier topic of that name.
    pub incarnation: String,
    /// How many.
    pub partitions: u64,
    /// Records it holds.
    pub records: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Records it ever held: the high watermarks together.
    pub published: u64,
    /// Its groups.
    pub groups: Vec<GroupRow>,
}

/// The topics as they were when the broker was last asked.
#[derive(Clone, Debug, Default)]
pub struct TopicsView {
    page: TopicsPage,
    before: BTreeMap<String, Counted>,
}

#[derive(Clone, Debug)]
struct Counted {
    incarnation: String,
    published: u64,
    bytes: u64,
}

impl TopicsView {
    /// Takes what the broker said at `now`.
    pub fn apply(&mut self, readings: Vec<TopicReading>, delivery: DeliveryReading, now: u64) {
        let seconds = now.saturating_sub(self.page.now) as f64 / 1_000.0;
        let seconds = (self.page.now > 0 && seconds > 0.0).then_some(seconds);
        let mut counted = BTreeMap::new();
        let mut topics = Vec::with_capacity(readings.len());
        for reading in readings {
            let now = Counted {
                incarnation: reading.incarnation.clone(),
                published: reading.published,
                bytes: reading.bytes,
            };
            let before = self.before.get(&reading.topic);
            let before = before.filter(|before| before.incarnation == now.incarnation);
            topics.push(row(reading, before.zip(seconds)));
            counted.insert(topics[topics.len() - 1].topic.clone(), now);
        }
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        self.before = counted;
        self.page = TopicsPage {
            now,
            topics,
            delivery: delivery.tables(),
        };
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> &TopicsPage {
        &self.page
    }
}

fn row(reading: TopicReading, before: Option<(&Counted, f64)>) -> TopicRow {
    let rate = |now: u64, value: fn(&Counted) -> u64| {
        let (before, seconds) = before?;
        // Trimming shrinks a topic: that says nothing of what comes in.
        let increase = now.checked_sub(value(before))?;
        Some(increase as f64 / seconds)
    };
    TopicRow {
        publish_per_second: rate(reading.published, |before| before.published),
        bytes_per_second: rate(reading.bytes, |before| before.bytes),
        topic: reading.topic,
        partitions: reading.partitions,
        records: reading.records,
        bytes: reading.bytes,
        groups: reading.groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(incarnation: &str, published: u64, bytes: u64) -> TopicReading {
        TopicReading {
            topic: "orders".into(),
            incarnation: incarnation.into(),
            partitions: 1,
            records: published,
            bytes,
            published,
            groups: Vec::new(),
        }
    }

    fn nothing() -> DeliveryReading {
        DeliveryReading {
            workers: Ok(Vec::new()),
            backends: Ok(Vec::new()),
            gateway: Ok(None),
        }
    }

    #[test]
    fn rates_come_from_two_readings_of_the_same_topic() {
        let mut view = TopicsView::default();
        let mut rates = |reading, now| {
            view.apply(vec![reading], nothing(), now);
            let row = &view.page().topics[0];
            (row.publish_per_second, row.bytes_per_second)
        };
        assert_eq!(rates(reading("a", 10, 1_000), 1_000), (None, None));
        assert_eq!(
            rates(reading("a", 30, 1_500), 3_000),
            (Some(10.0), Some(250.0))
        );
        assert_eq!(rates(reading("a", 34, 700), 5_000), (Some(2.0), None));
        assert_eq!(rates(reading("b", 50, 900), 7_000), (None, None));
    }
}
