use crate::table::{Align, backoff, human_bytes, render};
use weir_protocol::shapes::{PartitionInfo, TopicInfo};

/// A topic's settings and partitions, for people.
pub(crate) fn describe(topic: &TopicInfo) -> String {
    let s = &topic.settings;
    let columns = [
        ("PARTITION", Align::Right),
        ("START", Align::Right),
        ("END", Align::Right),
        ("SIZE", Align::Right),
        ("STATE", Align::Left),
    ];
    let partition = |p: &PartitionInfo| {
        let state = if p.failed { "disk failed" } else { "ok" };
        let (start, end) = (p.log_start_offset, p.high_watermark);
        let row = [p.partition.to_string(), start.to_string(), end.to_string()];
        [row.to_vec(), vec![human_bytes(p.bytes), state.to_owned()]].concat()
    };
    let partitions: Vec<_> = topic.partitions.iter().map(partition).collect();
    format!(
        "topic               {}\nrecords             {}\nsize                {}\n\
         durability          {}\nretention age       {}\nretention size      {}\n\
         segment size        {}\nsegment age         {}\nvisibility timeout  {}\n\
         max deliveries      {}\nretry backoff       {}\ndedupe window       {}\n\
         expires after       {}\n\n{}",
        topic.topic,
        topic.records,
        human_bytes(topic.bytes),
        s.durability,
        s.retention_age,
        human_bytes(s.retention_bytes.0),
        human_bytes(s.segment_bytes.0),
        s.segment_age,
        s.visibility_timeout,
        s.max_deliveries,
        backoff(&s.retry_backoff),
        s.dedupe_window,
        s.expires_after
            .map_or_else(|| "never".to_owned(), |after| after.to_string()),
        render(&columns, &partitions),
    )
}
