//! What a program without a standard library has to bring along: its entry, memory, and what the compiler calls for.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::ptr;

use crate::sys::kernel::syscall;
use crate::sys::{self, Failure};

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, 0",
    "mov x30, 0",
    "bl {start}",
    "brk 1",
    start = sym start,
);

extern "C" fn start() -> ! {
    crate::start()
}

/// Tells the agent: a container whose pid 1 or payload ends without a word would seem to have started.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    let (errno, subject) = (libc::ENOTRECOVERABLE, c"");
    sys::fail(None, Failure { errno, subject })
}

/// Enough for a usual program's lists; more is asked of the kernel. Pages that are not used cost nothing.
const ARENA_BYTES: usize = 32 << 10;

/// Hands out memory and takes none back: a launch needs a few KiB, and what comes after it none.
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    n_used: UnsafeCell<usize>,
}

// SAFETY: this program has one thread.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena {
    bytes: UnsafeCell::new([0; ARENA_BYTES]),
    n_used: UnsafeCell::new(0),
};

// SAFETY: what is handed out lies in the arena and is handed out once, or is a mapping of its own; both are aligned.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.bytes.get().cast::<u8>();
        // SAFETY: there is one thread, and no other reference to the number.
        let n_used = unsafe { &mut *self.n_used.get() };
        let start = (base.addr() + *n_used).next_multiple_of(layout.align()) - base.addr();
        if start + layout.size() <= ARENA_BYTES {
            *n_used = start + layout.size();
            return base.wrapping_add(start);
        }
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping, in whole pages: no alignment here is above those.
        let mapped = unsafe { syscall!(SYS_mmap, 0_usize, layout.size(), protection, flags, -1, 0_usize) };
        match usize::try_from(mapped) {
            Ok(address) => ptr::with_exposed_provenance_mut(address),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// What the compiler has done by calls of these names. Never by loops that it would make into calls of them again.
mod memory {
    #[cfg(target_arch = "x86_64")]
    use core::arch::asm;

    // SAFETY (of all of these): the pointers are valid for so many bytes, as C has it.

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n_bytes: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's.
        unsafe {
            asm!("rep movsb", inout("rcx") n_bytes => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        for at in 0..n_bytes {
            // SAFETY: the caller's.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n_bytes: usize) -> *mut u8 {
        if to.addr().wrapping_sub(from.addr()) >= n_bytes {
            // SAFETY: forwards, no byte is overwritten before it is read.
            return unsafe { memcpy(to, from, n_bytes) };
        }
        for at in (0..n_bytes).rev() {
            // SAFETY: the caller's.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, n_bytes: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's.
        unsafe {
            asm!("rep stosb", inout("rcx") n_bytes => _, inout("rdi") to => _, in("al") value.to_le_bytes()[0],
                options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        for at in 0..n_bytes {
            // SAFETY: the caller's.
            unsafe { to.add(at).write_volatile(value.to_le_bytes()[0]) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, n_bytes: usize) -> i32 {
        for at in 0..n_bytes {
            // SAFETY: the caller's.
            let (one, other) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
            if one != other {
                return i32::from(one) - i32::from(other);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, n_bytes: usize) -> i32 {
        // SAFETY: the caller's.
        unsafe { memcmp(one, other, n_bytes) }
    }
}
