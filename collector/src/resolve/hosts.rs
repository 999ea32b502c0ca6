//! `/etc/hosts`: a line has an address and the names that it has, the rest of it is a comment behind `#` (hosts(5)).

use std::net::IpAddr;

/// The addresses of a name, in the order of the file. Names are compared without regard to case.
pub fn addresses(text: &[u8], name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut addresses = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        // Someone's comment in another encoding must not hide a line.
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.strip_suffix('.').unwrap_or(word).eq_ignore_ascii_case(name))
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        let text = b"127.0.0.1\tlocalhost\r\n# 10.0.0.9 api\n10.0.0.1 Api.example.com api # \xff the new one\n\
            fe80::1%eth0 api\nfd00::1 api\n10.0.0.1 api\nnonsense api\n";
        let found = |name| addresses(text, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("api"), ["10.0.0.1", "fd00::1"]);
        assert_eq!(found("API.example.COM."), ["10.0.0.1"]);
        assert_eq!(found("localhost"), ["127.0.0.1"]);
        assert!(found("example.com").is_empty() && found("new").is_empty());
    }
}
