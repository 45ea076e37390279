//! A name server that knows the names of one zone, all of them this machine's, and remembers what it
//! was asked.

use anyhow::Context;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Names below it exist.
pub(super) const ZONE: &str = "weir.test";
/// What a root's /etc/resolv.conf must say.
pub(super) const RESOLV_CONF: &str = "nameserver 127.0.0.1\n";

const PORT: u16 = 53;
const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// Answers until the process ends.
pub(super) struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(super) fn start() -> anyhow::Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, PORT);
        let socket = UdpSocket::bind(address).context("the name server's port")?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                if let Some((name, answer)) = answer(&query[..length]) {
                    lock(&remembered).push(name);
                    // A client that does not hear asks again.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Ok(Self { asked })
    }

    /// Whether anybody asked for the name since this was called last.
    pub(super) fn was_asked_for(&self, name: &str) -> bool {
        let names = std::mem::take(&mut *lock(&self.asked));
        names.iter().any(|asked| asked == name)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name a query asks for, and the answer: 127.0.0.1 for names of the zone, no address of another
/// kind, and no such name otherwise. `None` for what is no query.
fn answer(query: &[u8]) -> Option<(String, Vec<u8>)> {
    let (name, end) = name(query)?;
    let kind = u16::from_be_bytes(*query.get(end..)?.first_chunk()?);
    let question = query.get(HEADER_BYTES..end + 4)?;
    let known = name.ends_with(&format!(".{ZONE}"));
    let answers = u8::from(known && kind == TYPE_A);
    let code = if known { 0 } else { NO_SUCH_NAME };

    let mut answer = query.get(..2)?.to_vec();
    // An answer, recursion wanted and to be had; one question.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        // The name of the question; A, IN, 60 s, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some((name, answer))
}

/// The question's name, and where it ends.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut position) = (Vec::new(), HEADER_BYTES);
    loop {
        let length = usize::from(*query.get(position)?);
        position += 1;
        if length == 0 {
            return Some((labels.join("."), position));
        }
        let label = query.get(position..position + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        position += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, kind, 0, 1]);
        query
    }

    #[test]
    fn names_of_the_zone_have_one_address_and_others_do_not_exist() {
        let (name, found) = answer(&query("Broker.weir.test", 1)).unwrap();
        assert_eq!(name, "broker.weir.test");
        assert_eq!(found[..8], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(found.ends_with(&[0, 4, 127, 0, 0, 1]));

        let (_, no_address) = answer(&query("broker.weir.test", 28)).unwrap();
        assert_eq!(no_address[2..8], [0x81, 0x80, 0, 1, 0, 0]);
        let (_, unknown) = answer(&query("example.org", 1)).unwrap();
        assert_eq!(unknown[2..8], [0x81, 0x83, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_cut_is_not_answered() {
        let whole = query("broker.weir.test", 1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length}");
        }
    }
}
