//! Finds the process behind a broker on this machine.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};

/// The process that listens on the broker's port, if the broker is on this machine and we may see
/// its files.
pub(crate) fn find(authority: &str) -> Option<u32> {
    let mut addresses = authority.to_socket_addrs().ok()?;
    let address = addresses.find(|a| is_loopback(a.ip()))?;
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| {
            let table = fs::read_to_string(table).ok()?;
            listener_inode(&table, address.port())
        })?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|&pid| has_file(pid, &wanted))
}

const fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

fn has_file(pid: u32, wanted: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.any(|link| link.to_str() == Some(wanted))
}

/// The inode of the socket that listens (state 0A) on `port` in a table of `/proc/net`.
fn listener_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let listens = *fields.get(3)? == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
        listens.then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_is_found_among_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1388 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
            1: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1\n";
        assert_eq!(listener_inode(table, 5000), Some(222));
        assert_eq!(listener_inode(table, 5001), None);
    }

    #[test]
    fn a_listener_of_our_own_is_us() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let pid = find(&authority).unwrap();
        assert_eq!(pid, std::process::id());
    }
}
