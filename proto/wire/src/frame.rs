//! How lists of messages become frames that no receiver refuses.

use prost::Message;

/// Where a frame is closed, in bytes. tonic refuses messages over 4 MiB; a quarter of it leaves room for a
/// single large item, which travels alone.
pub const FRAME_BYTES: usize = 1 << 20;

/// The largest message a daemon accepts, in bytes: tonic's default, stated.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Splits a list, in order, into lists of at most [`FRAME_BYTES`] each; an item larger than that is alone
/// in its own. No item, no list.
pub(crate) fn chunks<T: Message>(items: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        // The tag and length before each item are 6 bytes at most.
        let len = item.encoded_len() + 6;
        match chunks.last_mut() {
            Some(last) if len <= room => {
                room -= len;
                last.push(item);
            }
            Some(_) | None => {
                room = FRAME_BYTES.saturating_sub(len);
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}
