//! Bandwidth limits: a token bucket (tc-tbf(8)) at the end that sends.

use std::io;

use futures::StreamExt as _;
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};

use crate::links::Links;

/// Bytes a second of one kilobit a second.
const BYTES_PER_KBPS: u64 = 125;

/// The least burst: one packet as large as the kernel makes them before it segments, so that none is ever refused.
const MIN_BURST_BYTES: u64 = 64 << 10;

/// A burst lasts so long at the rate: one that is shorter than a tick of the slowest kernels (100 Hz) costs throughput.
const BURST_MS: u64 = 10;

/// How long a packet may wait before those behind it are dropped.
const QUEUE_MS: u64 = 50;

/// The least queue: a slow connection is not to lose all but one of its largest packets.
const MIN_QUEUE_BYTES: u64 = 128 << 10;

/// Attributes of the tbf discipline (linux/pkt_sched.h).
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
/// How the kernel counts the bytes of a packet without a table (linux/pkt_sched.h).
const TC_LINKLAYER_ETHERNET: u8 = 1;

/// Limits what an interface sends.
pub(crate) async fn limit(links: &Links, index: u32, kbps: u64) -> io::Result<()> {
    let index = i32::try_from(index).map_err(io::Error::other)?;
    let mut message = TcMessage::with_index(index);
    message.header.parent = TcHandle::ROOT;
    message.attributes = vec![
        TcAttribute::Kind("tbf".to_owned()),
        TcAttribute::Options(options(kbps).into_iter().map(TcOption::Other).collect()),
    ];
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut answers = links.handle().request(request).map_err(io::Error::other)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload {
            return error.code.map_or(Ok(()), |_| Err(error.to_io()));
        }
    }
    Ok(())
}

/// The attributes of one rate.
fn options(kbps: u64) -> Vec<DefaultNla> {
    let rate = kbps.saturating_mul(BYTES_PER_KBPS);
    let burst = clamped((rate / 1000).saturating_mul(BURST_MS).max(MIN_BURST_BYTES));
    let queue = (rate / 1000).saturating_mul(QUEUE_MS).max(MIN_QUEUE_BYTES);
    let queue = clamped(queue.saturating_add(burst.into()));
    // struct tc_tbf_qopt: two struct tc_ratespec (the second, for a peak rate, is none), limit, buffer, mtu. The buffer
    // is said by its own attribute, in bytes.
    let mut parms = Vec::with_capacity(36);
    parms.extend([0, TC_LINKLAYER_ETHERNET]);
    parms.extend([0; 6]);
    parms.extend(clamped(rate).to_ne_bytes());
    parms.extend([0; 12]);
    parms.extend(queue.to_ne_bytes());
    parms.extend([0; 8]);
    let mut options = vec![
        DefaultNla::new(TCA_TBF_PARMS, parms),
        DefaultNla::new(TCA_TBF_BURST, burst.to_ne_bytes().to_vec()),
    ];
    if rate > u32::MAX.into() {
        options.push(DefaultNla::new(TCA_TBF_RATE64, rate.to_ne_bytes().to_vec()));
    }
    options
}

fn clamped(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
