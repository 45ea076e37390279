use super::Arrival;

/// How far below the newest number a late one is still told from a duplicate.
const REMEMBERED: u64 = 128;

/// Which samples of one topic and boot came, by sequence number.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    newest: u64,
    /// Bit `n` stands for `newest - n`.
    seen: u128,
}

impl Sequence {
    /// The first sample of a boot that is heard of: what came before is not missing.
    pub(super) const fn starting_at(seq: u64) -> Self {
        Self {
            newest: seq,
            seen: 1,
        }
    }

    /// Whether `seq` is so far below the newest that nothing is known of it.
    pub(super) const fn is_far_above(&self, seq: u64) -> bool {
        self.newest.saturating_sub(seq) >= REMEMBERED
    }

    /// Notes a sample and says what it is.
    pub(super) fn note(&mut self, seq: u64) -> Arrival {
        if seq > self.newest {
            let ahead = seq - self.newest;
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = seq;
            return Arrival::Next { missed: ahead - 1 };
        }
        let behind = self.newest - seq;
        if behind >= REMEMBERED {
            return Arrival::Duplicate;
        }
        let bit = 1_u128 << behind;
        if self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        Arrival::OutOfOrder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exact_and_repetitions_are_recognised() {
        let mut sequence = Sequence::starting_at(10);
        let table = [
            (11, Arrival::Next { missed: 0 }),
            (11, Arrival::Duplicate),
            (14, Arrival::Next { missed: 2 }),
            (12, Arrival::OutOfOrder),
            (12, Arrival::Duplicate),
            (10, Arrival::Duplicate),
            (1_000, Arrival::Next { missed: 985 }),
            (14, Arrival::Duplicate),
            (
                u64::MAX,
                Arrival::Next {
                    missed: u64::MAX - 1_001,
                },
            ),
        ];
        for (seq, expected) in table {
            assert_eq!(sequence.note(seq), expected, "{seq}");
        }
    }
}
