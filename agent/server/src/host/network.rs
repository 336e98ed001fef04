//! Network bandwidth: the speed of the interface that carries the default route.
//!
//! Virtual interfaces often tell none, or -1; then nothing is offered.

use std::fs;
use std::path::Path;

/// The flags of a usable route through a gateway: `RTF_UP | RTF_GATEWAY`.
const UP_AND_GATEWAY: u32 = 0x3;

/// Megabits per second; `None` where there is no default route or its interface tells no speed.
pub(super) fn speed_mbps(routes: &Path, interfaces: &Path) -> Option<u64> {
    let routes = fs::read_to_string(routes).ok()?;
    let interface = default_interface(&routes)?;
    let speed = fs::read_to_string(interfaces.join(interface).join("speed")).ok()?;
    // -1 for unknown.
    speed.trim().parse::<u64>().ok().filter(|mbps| *mbps > 0)
}

/// The interface of the default route with the lowest metric, from the text of `/proc/net/route`.
fn default_interface(routes: &str) -> Option<&str> {
    let routes = routes.lines().skip(1).filter_map(|line| {
        let fields = line.split_ascii_whitespace().collect::<Vec<_>>();
        let [interface, destination, _, flags, _, _, metric, mask, ..] = fields.as_slice() else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = *destination == "00000000" && *mask == "00000000";
        let is_usable = flags & UP_AND_GATEWAY == UP_AND_GATEWAY;
        (is_default && is_usable).then_some((metric.parse::<u32>().ok()?, *interface))
    });
    routes
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_default_route_with_the_lowest_metric_decides() {
        assert_eq!(default_interface(ROUTES), Some("eth0"));
        assert_eq!(default_interface("Iface\n"), None);
    }

    #[test]
    fn an_unknown_speed_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (routes, speed) = (dir.path().join("route"), dir.path().join("eth0/speed"));
        fs::write(&routes, ROUTES).unwrap();
        fs::create_dir(dir.path().join("eth0")).unwrap();
        for (text, mbps) in [("1000\n", Some(1000)), ("-1\n", None), ("0\n", None)] {
            fs::write(&speed, text).unwrap();
            assert_eq!(speed_mbps(&routes, dir.path()), mbps, "{text}");
        }
    }
}
