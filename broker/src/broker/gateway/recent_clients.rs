//! Who was heard of lately. Pure: `now` is an argument.

use super::GatewayClient;
use std::collections::HashMap;
use std::time::Duration;
use weir_types::Timestamp;

/// Who says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Clients that are remembered at most; beyond, further ones are not counted.
const MAX_CLIENTS: usize = 4096;

/// When each client was last heard.
#[derive(Debug, Default)]
pub(super) struct RecentClients {
    heard: HashMap<GatewayClient, Timestamp>,
}

impl RecentClients {
    pub(super) fn hear(&mut self, client: GatewayClient, now: Timestamp) {
        if self.heard.len() >= MAX_CLIENTS && !self.heard.contains_key(&client) {
            self.forget_silent(now);
        }
        if self.heard.len() < MAX_CLIENTS || self.heard.contains_key(&client) {
            self.heard.insert(client, now);
        }
    }

    pub(super) fn count(&mut self, now: Timestamp) -> usize {
        self.forget_silent(now);
        self.heard.len()
    }

    fn forget_silent(&mut self, now: Timestamp) {
        self.heard.retain(|_, heard| now.since(*heard) < SILENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn client(number: u32) -> GatewayClient {
        GatewayClient {
            listener_port: 5000,
            address: IpAddr::V4(Ipv4Addr::from_bits(number)),
        }
    }

    #[test]
    fn clients_count_until_they_were_silent_for_a_minute() {
        let mut recent = RecentClients::default();
        recent.hear(client(1), Timestamp(0));
        recent.hear(client(2), Timestamp(0));
        recent.hear(client(1), Timestamp(30_000));
        assert_eq!(recent.count(Timestamp(59_999)), 2);
        assert_eq!(recent.count(Timestamp(60_000)), 1);
        assert_eq!(recent.count(Timestamp(90_000)), 0);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut recent = RecentClients::default();
        for number in 0..5000 {
            recent.hear(client(number), Timestamp(1));
        }
        assert_eq!(recent.count(Timestamp(1)), MAX_CLIENTS);
        recent.hear(client(9999), Timestamp(60_001));
        assert_eq!(recent.count(Timestamp(60_001)), 1);
    }
}
