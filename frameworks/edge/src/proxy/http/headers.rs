//! What a proxy takes out of the head of a message, and adds to it (RFC 9110, section 7.6).

use std::net::IpAddr;

use http::header::{
    CONNECTION, COOKIE, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Uri};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is between two neighbours and no further.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
    TRAILER,
];

/// The protocol that a message asks to go on with, where it does.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asks).cloned()
}

/// Says that a message asks for another protocol.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What the headers `Connection` list.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Takes out what is meant for us alone.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = tokens(headers).filter_map(|token| token.parse().ok()).collect();
        for name in listed {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    // What is said of trailers goes on, as trailers do.
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
}

/// Makes the head of a client's request that of ours to an endpoint.
pub(super) fn prepare(headers: &mut HeaderMap, uri: &Uri, peer: IpAddr) {
    remove_hop_by_hop(headers);
    // In HTTP/2, and in requests meant for proxies, the host is part of the target.
    if let Some(host) = uri.authority()
        && let Ok(host) = HeaderValue::from_str(host.as_str())
    {
        headers.insert(HOST, host);
    }
    // HTTP/2 may send cookies apart, HTTP/1 may not (RFC 9113, section 8.2.3).
    if headers.get_all(COOKIE).iter().nth(1).is_some() {
        let all: Vec<&[u8]> = headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(one) = HeaderValue::from_bytes(&all.join(b"; ".as_slice())) {
            headers.insert(COOKIE, one);
        }
    }
    let peer = peer.to_canonical();
    let before: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let chain = match before.as_slice() {
        [] => HeaderValue::from_str(&peer.to_string()),
        before => {
            let mut chain = before.join(b", ".as_slice());
            chain.extend_from_slice(format!(", {peer}").as_bytes());
            HeaderValue::from_bytes(&chain)
        }
    };
    if let Ok(chain) = chain {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let parse = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(parse).collect()
    }

    #[test]
    fn what_is_between_neighbours_ends_here() {
        let mut given = headers(&[
            ("connection", "close, X-Mine"),
            ("connection", "te"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "secret"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut given);
        assert_eq!(given, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn an_endpoint_is_told_who_asks_and_for_which_host() {
        let mut given = headers(&[
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.2"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("te", "trailers"),
        ]);
        prepare(
            &mut given,
            &Uri::from_static("http://shop.example:8080/x"),
            [10, 0, 0, 9].into(),
        );
        let expected = [
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2, 10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("cookie", "a=1; b=2"),
            ("te", "trailers"),
            ("host", "shop.example:8080"),
        ];
        assert_eq!(given, headers(&expected));
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers() {
        let both = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade(&both), Some(HeaderValue::from_static("websocket")));
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
        assert_eq!(upgrade(&headers(&[("connection", "upgrade")])), None);
    }
}
