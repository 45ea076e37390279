//! Who consumes in a group, and, with order by partition, who has which partition. Pure: `now` is an
//! argument.

use super::unfinished::Holder;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_types::{MemberName, PartitionId, Timestamp};

/// A member that says nothing for so long is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);
/// Members that a group has at most.
pub(crate) const MAX_MEMBERS: usize = 4096;

/// One consumer that said who it is.
#[derive(Clone, Debug)]
struct Member {
    holder: Holder,
    last_active: Timestamp,
    /// How many streams it has open: while it has one it is not silent.
    streams: u32,
}

/// The members of a group.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    by_name: BTreeMap<MemberName, Member>,
    /// Whose an open stream is. Each holds its own leases, so that one that breaks takes nothing from
    /// the others of its member.
    by_stream: BTreeMap<Holder, Holder>,
    last_holder: u32,
    /// Who has each partition; only kept when partitions are spread.
    assigned: Option<Vec<Option<Holder>>>,
}

/// One member as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberView {
    pub(crate) name: MemberName,
    /// What it leases itself, and what each of its streams does.
    pub(crate) holders: Vec<Holder>,
    pub(crate) idle: Duration,
    pub(crate) partitions: Vec<PartitionId>,
}

impl Members {
    /// No members yet. `partitions` is how many are spread over them, if they are.
    pub(crate) fn new(partitions: Option<usize>) -> Self {
        Self {
            by_name: BTreeMap::new(),
            by_stream: BTreeMap::new(),
            last_holder: 0,
            assigned: partitions.map(|count| vec![None; count]),
        }
    }

    /// Hears of a member; it joins if it is new. `None` when there are as many as may be.
    pub(crate) fn hear(&mut self, name: &MemberName, now: Timestamp) -> Option<Holder> {
        if let Some(member) = self.by_name.get_mut(name) {
            member.last_active = now;
            return Some(member.holder);
        }
        if self.by_name.len() >= MAX_MEMBERS {
            return None;
        }
        let member = Member {
            holder: self.new_holder(),
            last_active: now,
            streams: 0,
        };
        let holder = member.holder;
        self.by_name.insert(name.clone(), member);
        self.spread();
        Some(holder)
    }

    /// A member, which is heard by that, opens a stream; returns as whom the stream leases. `None`
    /// when there are as many members as may be.
    pub(crate) fn open_stream(&mut self, name: &MemberName, now: Timestamp) -> Option<Holder> {
        let of = self.hear(name, now)?;
        let stream = self.new_holder();
        self.by_stream.insert(stream, of);
        if let Some(member) = self.by_name.get_mut(name) {
            member.streams += 1;
        }
        Some(stream)
    }

    /// A stream is closed; its member is gone with the last one.
    pub(crate) fn close_stream(&mut self, stream: Holder) {
        let Some(of) = self.by_stream.remove(&stream) else {
            return;
        };
        for member in self.by_name.values_mut() {
            if member.holder == of {
                member.streams = member.streams.saturating_sub(1);
            }
        }
        self.remove_if(|member| member.holder == of && member.streams == 0);
    }

    fn new_holder(&mut self) -> Holder {
        self.last_holder = next_holder(self.last_holder);
        Holder(self.last_holder)
    }

    /// Removes those that were silent for too long.
    pub(crate) fn forget_silent(&mut self, now: Timestamp) {
        self.remove_if(|member| member.streams == 0 && now.since(member.last_active) >= SILENCE);
    }

    /// When the next member may be silent for too long.
    pub(crate) fn next_silence(&self) -> Option<Timestamp> {
        let quiet = self.by_name.values().filter(|member| member.streams == 0);
        quiet.map(|member| member.last_active.plus(SILENCE)).min()
    }

    /// Whether `holder`, a member or a stream, may consume from a partition.
    pub(crate) fn may_consume(&self, holder: Holder, partition: usize) -> bool {
        let member = self.by_stream.get(&holder).copied().unwrap_or(holder);
        match &self.assigned {
            None => true,
            Some(assigned) => assigned.get(partition) == Some(&Some(member)),
        }
    }

    /// Whether nobody is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Who has a partition.
    pub(crate) fn of_partition(&self, partition: usize) -> Option<&MemberName> {
        let holder = (*self.assigned.as_ref()?.get(partition)?)?;
        let mut members = self.by_name.iter();
        members
            .find(|(_, member)| member.holder == holder)
            .map(|(name, _)| name)
    }

    /// All members, in order of name.
    pub(crate) fn view(&self, now: Timestamp) -> Vec<MemberView> {
        let view = |(name, member): (&MemberName, &Member)| MemberView {
            name: name.clone(),
            holders: self.holders_of(member.holder),
            idle: now.since(member.last_active),
            partitions: self.partitions_of(member.holder),
        };
        self.by_name.iter().map(view).collect()
    }

    fn holders_of(&self, member: Holder) -> Vec<Holder> {
        let streams = self.by_stream.iter().filter(|(_, of)| **of == member);
        let streams = streams.map(|(stream, _)| *stream);
        std::iter::once(member).chain(streams).collect()
    }

    fn partitions_of(&self, holder: Holder) -> Vec<PartitionId> {
        let assigned = self.assigned.iter().flatten();
        let places = (0..).map(PartitionId).zip(assigned);
        let own = places.filter(|(_, of)| **of == Some(holder));
        own.map(|(partition, _)| partition).collect()
    }

    fn remove_if(&mut self, gone: impl Fn(&Member) -> bool) {
        let before = self.by_name.len();
        self.by_name.retain(|_, member| !gone(member));
        if self.by_name.len() < before {
            self.spread();
        }
    }

    /// Spreads the partitions evenly, with as few moves as that takes.
    fn spread(&mut self) {
        if let Some(assigned) = &mut self.assigned {
            let members: Vec<_> = self.by_name.values().map(|member| member.holder).collect();
            spread(assigned, &members);
        }
    }
}

/// Skips 0, which is nobody's, when the numbers begin anew.
fn next_holder(last: u32) -> u32 {
    (last % (Holder::END - 1)) + 1
}

/// Gives every member its fair share, the larger shares to those who have most already: nobody loses
/// a partition that it may keep, so that no fewer moves would do.
fn spread(assigned: &mut [Option<Holder>], members: &[Holder]) {
    let mut owned: BTreeMap<Holder, usize> = members.iter().map(|&member| (member, 0)).collect();
    for holder in assigned.iter().flatten() {
        owned.entry(*holder).and_modify(|count| *count += 1);
    }
    let (Some(share), Some(larger)) = (
        assigned.len().checked_div(members.len()),
        assigned.len().checked_rem(members.len()),
    ) else {
        assigned.fill(None);
        return;
    };
    let mut by_owned: Vec<_> = owned.into_iter().collect();
    by_owned.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let shares = (0..).zip(&by_owned);
    let mut room: BTreeMap<Holder, usize> = shares
        .map(|(rank, &(holder, _))| (holder, share + usize::from(rank < larger)))
        .collect();
    for place in assigned.iter_mut() {
        let kept = place.and_then(|holder| room.get_mut(&holder));
        match kept.filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => *place = None,
        }
    }
    let mut free = room
        .into_iter()
        .flat_map(|(holder, left)| std::iter::repeat_n(holder, left));
    for place in assigned.iter_mut().filter(|place| place.is_none()) {
        *place = free.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(name: &str) -> MemberName {
        MemberName::parse(name).unwrap()
    }

    fn sizes(members: &Members) -> Vec<usize> {
        let views = members.view(Timestamp(0));
        views.iter().map(|member| member.partitions.len()).collect()
    }

    #[test]
    fn partitions_are_spread_over_members_that_come_and_go() {
        let mut members = Members::new(Some(16));
        members.hear(&name("a"), Timestamp(0));
        assert_eq!(sizes(&members), [16]);
        members.hear(&name("b"), Timestamp(1));
        members.hear(&name("c"), Timestamp(2));
        assert_eq!(sizes(&members), [6, 5, 5]);
        members.hear(&name("a"), Timestamp(30_000));
        members.forget_silent(Timestamp(60_001));
        assert_eq!(
            sizes(&members),
            [8, 8],
            "b was silent for 60 seconds, c not yet"
        );
        assert_eq!(members.next_silence(), Some(Timestamp(60_002)));
    }

    #[test]
    fn a_member_with_an_open_stream_is_never_silent_and_gone_with_it() {
        let mut members = Members::new(None);
        let stream = members.open_stream(&name("a"), Timestamp(0)).unwrap();
        members.forget_silent(Timestamp(u64::MAX));
        assert!(!members.is_empty());
        members.close_stream(stream);
        assert!(members.is_empty());
    }

    #[test]
    fn a_name_keeps_its_holder_while_it_is_heard() {
        let mut members = Members::new(None);
        let first = members.hear(&name("a"), Timestamp(0));
        assert_eq!(members.hear(&name("a"), Timestamp(1)), first);
        assert_ne!(members.hear(&name("b"), Timestamp(1)), first);
        assert!(members.may_consume(Holder::ANONYMOUS, 0));
    }

    proptest! {
        #[test]
        fn shares_are_even_and_moves_as_few_as_possible(
            partitions in 1_usize..40,
            steps in prop::collection::vec((0_u32..12, any::<bool>()), 1..30),
        ) {
            let mut assigned = vec![None; partitions];
            let mut members: Vec<Holder> = Vec::new();
            for (number, joins) in steps {
                members.retain(|member| member.0 != number + 1);
                if joins {
                    members.push(Holder(number + 1));
                }
                let before = assigned.clone();
                spread(&mut assigned, &members);
                let count = |of: &[Option<Holder>], member: &Holder| {
                    of.iter().filter(|place| **place == Some(*member)).count()
                };
                let counts: Vec<_> = members.iter().map(|m| count(&assigned, m)).collect();
                let (least, most) = (counts.iter().min(), counts.iter().max());
                prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1));
                prop_assert_eq!(counts.iter().sum::<usize>(), if members.is_empty() { 0 } else { partitions });
                let moves = before.iter().zip(&assigned).filter(|(old, new)| old != new && old.is_some_and(|o| members.contains(&o))).count();
                let (share, larger) = (partitions / members.len().max(1), partitions % members.len().max(1));
                let mut owned: Vec<_> = members.iter().map(|m| count(&before, m)).collect();
                owned.sort_unstable_by(|a, b| b.cmp(a));
                let surplus: usize = owned.iter().enumerate()
                    .map(|(rank, &n)| n.saturating_sub(share + usize::from(rank < larger)))
                    .sum();
                prop_assert_eq!(moves, surplus);
            }
        }
    }
}
