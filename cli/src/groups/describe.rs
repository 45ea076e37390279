use crate::table::{Align, backoff, render};
use weir_protocol::shapes::{GroupInfo, GroupPartitionInfo, MemberInfo};

/// A group's settings, state, members and partitions, for people.
pub(super) fn describe(group: &GroupInfo) -> String {
    let expires_after = group.expires_after.map(|after| after.to_string());
    let facts = format!(
        "group           {}\ntopic           {}\nordering        {}\nmax deliveries  {}\n\
         retry backoff   {}\nexpires after   {}\nlag             {}\n\
         in flight       {}\nwaiting         {}\nheld back       {}\nredelivered     {}\n\
         dead letters    {}\nexpired         {}\nlost            {}",
        group.group,
        group.topic,
        group.ordering,
        group.max_deliveries,
        backoff(&group.retry_backoff),
        expires_after.as_deref().unwrap_or("never"),
        lag(group),
        group.in_flight,
        group.waiting,
        group.held_back,
        group.redelivered,
        group.dead_lettered,
        group.expired,
        group.lost_records,
    );
    let tables = [members(&group.members), partitions(&group.partitions)];
    let tables = tables.into_iter().flatten();
    tables.fold(facts, |text, table| format!("{text}\n\n{table}"))
}

fn lag(group: &GroupInfo) -> String {
    match group.lag_records {
        0 => "none".to_owned(),
        records => format!(
            "{records} records, the oldest {:.1}s old",
            group.lag_seconds
        ),
    }
}

fn members(members: &[MemberInfo]) -> Option<String> {
    let columns = [
        ("MEMBER", Align::Left),
        ("SILENT FOR", Align::Right),
        ("IN FLIGHT", Align::Right),
        ("PARTITIONS", Align::Left),
    ];
    let row = |member: &MemberInfo| {
        let partitions = member.partitions.iter().map(ToString::to_string);
        vec![
            member.member.to_string(),
            format!("{:.1}s", member.idle_seconds),
            member.in_flight.to_string(),
            partitions.collect::<Vec<_>>().join(" "),
        ]
    };
    let rows: Vec<_> = members.iter().map(row).collect();
    (!rows.is_empty()).then(|| render(&columns, &rows))
}

fn partitions(partitions: &[GroupPartitionInfo]) -> Option<String> {
    let columns = [
        ("PARTITION", Align::Right),
        ("COMMITTED", Align::Right),
        ("END", Align::Right),
        ("LAG", Align::Right),
        ("IN FLIGHT", Align::Right),
        ("WAITING", Align::Right),
        ("HELD BACK", Align::Right),
        ("READING", Align::Left),
        ("MEMBER", Align::Left),
    ];
    let row = |p: &GroupPartitionInfo| {
        let reading = if p.read_ahead_stopped {
            "stopped"
        } else {
            "on"
        };
        let member = p.member.as_ref().map(ToString::to_string);
        vec![
            p.partition.to_string(),
            p.committed_offset.to_string(),
            p.high_watermark.to_string(),
            p.lag_records.to_string(),
            p.in_flight.to_string(),
            p.waiting.to_string(),
            p.held_back.to_string(),
            reading.to_owned(),
            member.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = partitions.iter().map(row).collect();
    Some(render(&columns, &rows))
}
