//! Threads that go through a run together, or through many.
//!
//! A run is many short jobs, each of which waits for the one before it. A thread that falls asleep in between
//! takes longer to wake up than small maps take, so those of a team look out for the next job, until
//! none has come for a while. Nobody waits for a thread that has not come: it may have other work.

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often to look before letting others have the core: some ten microseconds.
const PATIENCE: usize = 500;
/// For how long nothing may happen before a helper goes: who reports progress may be held up.
const IDLE: Duration = Duration::from_millis(100);

/// The number of the job when there will be no more.
const ENDED: usize = usize::MAX;

/// What a job does, told who does it and the number of the part.
type Job = dyn Fn(usize, usize) + Sync;

/// Up to as many threads as the pool has. The leader is member 0.
#[derive(Default)]
pub struct Team {
    /// What is left to be taken of every member's share of the job.
    shares: Box<[Share]>,
    said: Said,
    left: Left,
    /// Whether a helper has panicked.
    broken: AtomicBool,
}

/// What the leader tells the others, on one cache line.
#[derive(Default)]
#[repr(align(128))]
struct Said {
    /// How many jobs there were.
    number: AtomicUsize,
    /// How many members share the job.
    members: AtomicUsize,
    job: UnsafeCell<Option<*const Job>>,
}

/// Parts of the job that nobody has said are done, on a line of its own: the others tell the leader.
#[derive(Default)]
#[repr(align(128))]
struct Left(AtomicUsize);

thread_local! {
    /// The team that this thread leads.
    static LED_TEAM: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    /// Whether this thread is inside `lead`. Rayon may give it any task while it waits there, but it must not help
    /// a team: its own would wait for that team, or for itself.
    static IS_LEADING: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: `job` is written by the leader when no part of a job is left, and read by those who have taken a
// part and not said that it is done; what it points to may be used by any thread.
unsafe impl Sync for Team {}
// SAFETY: between runs `job` points to nothing that is used, and the rest may be sent.
unsafe impl Send for Team {}

/// Parts `first..end`, as one number: on a cache line of its own, as threads write it often.
#[derive(Default)]
#[repr(align(128))]
struct Share(AtomicU64);

impl Share {
    fn pack(first: usize, end: usize) -> u64 {
        (first as u64) << 32 | end as u64
    }

    /// Takes a part off the front, or off the back.
    fn take(&self, back: bool) -> Option<usize> {
        let mut packed = self.0.load(Ordering::Relaxed);
        loop {
            let (first, end) = ((packed >> 32) as usize, packed as u32 as usize);
            if first >= end {
                return None;
            }
            let (part, rest) = match back {
                false => (first, Share::pack(first + 1, end)),
                true => (end - 1, Share::pack(first, end - 1)),
            };
            let order = (Ordering::Acquire, Ordering::Relaxed);
            match self.0.compare_exchange_weak(packed, rest, order.0, order.1) {
                Ok(_) => return Some(part),
                Err(now) => packed = now,
            }
        }
    }
}

impl Team {
    pub fn new(members: usize) -> Self {
        Team { shares: (0..members).map(|_| Share::default()).collect(), ..Team::default() }
    }

    /// Calls `work`, and meanwhile has those threads of this pool look out for jobs that have nothing else to
    /// do; who has come stays until nothing has happened for a tenth of a second. Allocates nothing. A thread that
    /// leads a team already goes on with that one.
    pub fn lead<R: Send>(&mut self, work: impl FnOnce() -> R + Send) -> R {
        let helpers = self.shares.len().min(rayon::current_num_threads()).saturating_sub(1);
        if helpers == 0 || !LED_TEAM.get().is_null() {
            return work();
        }
        (*self.said.number.get_mut(), *self.broken.get_mut()) = (0, false);
        let team = &*self;
        let busy = IS_LEADING.replace(true);
        let _after = Finally(|| IS_LEADING.set(busy));
        let lead = || {
            let busy = IS_LEADING.replace(true);
            // This may be another thread, which waits inside a team's work of its own: that team comes back.
            let before = LED_TEAM.replace(team);
            let _end = Finally(|| {
                LED_TEAM.set(before);
                IS_LEADING.set(busy);
                team.said.number.store(ENDED, Ordering::Release);
            });
            work()
        };
        rayon::join(lead, || team.help(1, helpers)).0
    }

    /// Members `first..=last` look out for jobs until there are no more.
    fn help(&self, first: usize, last: usize) {
        if first < last {
            let middle = usize::midpoint(first, last);
            rayon::join(|| self.help(first, middle), || self.help(middle + 1, last));
            return;
        }
        let (mut seen, busy) = (0, IS_LEADING.get());
        while !busy && wait_until(|| self.said.number.load(Ordering::Acquire) != seen, IDLE) {
            seen = self.said.number.load(Ordering::Acquire);
            if seen == ENDED {
                return;
            }
            self.work(first);
        }
    }

    /// Shares a job between the first `members`, and waits until it is done.
    fn share(&self, members: usize, parts: usize, job: &(dyn Fn(usize, usize) + Sync)) {
        assert!(u32::try_from(parts).is_ok(), "a job of too many parts");
        assert_eq!(self.left.0.load(Ordering::Acquire), 0, "a job inside a job");
        // SAFETY: only the lifetime changes. The pointer is used by those who have a part that is not done,
        // and this function does not return, nor unwind, before all are.
        let job: *const Job = unsafe { std::mem::transmute(std::ptr::from_ref(job)) };
        // SAFETY: no part of the last job is left, so nobody reads this.
        unsafe { *self.said.job.get() = Some(job) };
        self.left.0.store(parts, Ordering::Relaxed);
        self.said.members.store(members, Ordering::Relaxed);
        for (i, share) in self.shares[..members].iter().enumerate() {
            let packed = Share::pack(parts * i / members, parts * (i + 1) / members);
            // Who takes a part sees the job and the count above.
            share.0.store(packed, Ordering::Release);
        }
        self.said.number.fetch_add(1, Ordering::Release);
        let end = Finally(|| {
            // There are some only after a panic.
            while self.next(0, members).is_some() {
                self.left.0.fetch_sub(1, Ordering::Release);
            }
            wait_until(|| self.left.0.load(Ordering::Acquire) == 0, Duration::MAX);
        });
        self.work(0);
        drop(end);
        assert!(!self.broken.load(Ordering::Relaxed), "another thread of the team has panicked");
    }

    /// Works on parts of the job, as this member, until all are taken.
    fn work(&self, member: usize) {
        // By the time a part is taken there may be another job, of fewer members: a member of any number may
        // come to it.
        let members = self.said.members.load(Ordering::Relaxed);
        if member >= members {
            return;
        }
        // Told at the end only, or when a part panics: each word costs both sides a cache line.
        let taken = Cell::new(0);
        let _done = Finally(|| {
            if std::thread::panicking() {
                self.broken.store(true, Ordering::Relaxed);
            }
            if taken.get() > 0 {
                self.left.0.fetch_sub(taken.get(), Ordering::Release);
            }
        });
        while let Some(part) = self.next(member, members) {
            taken.set(taken.get() + 1);
            // SAFETY: the part was taken and not said to be done, so this is the job that it is of.
            let job = unsafe { (*self.said.job.get()).map(|job| &*job) };
            job.expect("a part is of a job")(member, part);
        }
    }

    /// The next part for a member: of its own share, whose data its cache may hold from the last run, or from
    /// the end of another's.
    fn next(&self, member: usize, members: usize) -> Option<usize> {
        let mut others = (1..members).map(|i| &self.shares[(member + i) % members]);
        self.shares[member].take(false).or_else(|| others.find_map(|share| share.take(true)))
    }
}

/// Some of those who are there to share jobs.
pub struct Crew<'t> {
    team: Option<&'t Team>,
    members: usize,
    /// Only the leader's thread may share jobs.
    stays: PhantomData<*const ()>,
}

impl Crew<'_> {
    /// Calls `work` with at most this many members of the team that this thread leads.
    pub fn with<R>(most: usize, work: impl FnOnce(&Crew) -> R) -> R {
        // SAFETY: `lead` keeps the team, and forgets it here before it returns.
        let team = unsafe { LED_TEAM.get().as_ref() };
        let members = team.map_or(1, |team| team.shares.len().min(most));
        work(&Crew { team, members, stays: PhantomData })
    }

    /// Calls `one` for each of `parts` parts, by any member, whose number comes first, and in any order, and
    /// returns when all are done.
    pub fn each(&self, parts: usize, one: impl Fn(usize, usize) + Sync) {
        match self.team {
            Some(team) if parts > 1 && self.members > 1 => {
                team.share(self.members.min(parts), parts, &one);
            }
            _ => (0..parts).for_each(|part| one(0, part)),
        }
    }
}

/// Looks until something has happened, or `most` has passed. Returns whether it has.
fn wait_until(happened: impl Fn() -> bool, most: Duration) -> bool {
    for _ in 0..PATIENCE {
        if happened() {
            return true;
        }
        spin_loop();
    }
    let begun = Instant::now();
    while !happened() {
        if begun.elapsed() > most {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Does something at the end of its scope, even when that is a panic.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// As a run inside a search does.
    fn in_crew(team: &mut Team, work: impl Fn(&Crew) + Sync) {
        let members = team.shares.len();
        team.lead(|| Team::new(1).lead(|| Crew::with(members, &work)));
    }

    #[test]
    fn every_part_of_every_job_is_done_once_and_before_the_next_job() {
        for threads in [1, 2, 3, 8] {
            on(threads, || {
                let mut team = Team::new(threads);
                for _ in 0..50 {
                    let counts: Vec<AtomicUsize> = (0..97).map(|_| AtomicUsize::new(0)).collect();
                    in_crew(&mut team, |crew| {
                        for (job, parts) in [97, 1, 0, 2, 97, 5].into_iter().enumerate() {
                            crew.each(parts, |_, part| {
                                let before = counts[part].fetch_add(1, Ordering::Relaxed);
                                assert!(before <= job);
                            });
                            let all: usize = counts.iter().map(|c| c.load(Ordering::Relaxed)).sum();
                            assert_eq!(all, [97, 98, 98, 100, 197, 202][job]);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn threads_help_and_many_teams_work_at_the_same_time() {
        on(3, || {
            let who = Mutex::new(std::collections::HashSet::new());
            in_crew(&mut Team::new(3), |crew| {
                // Each part waits until all members have one.
                crew.each(3, |member, _| {
                    who.lock().unwrap().insert(member);
                    wait_until(|| who.lock().unwrap().len() == 3, Duration::MAX);
                });
            });
            let sum = AtomicUsize::new(0);
            rayon::scope(|scope| {
                for _ in 0..20 {
                    scope.spawn(|_| {
                        in_crew(&mut Team::new(3), |crew| {
                            (0..30).for_each(|_| {
                                crew.each(10, |_, i| {
                                    sum.fetch_add(i, Ordering::Relaxed);
                                });
                            });
                        });
                    });
                }
            });
            assert_eq!(sum.into_inner(), 20 * 30 * 45);
        });
    }

    #[test]
    fn a_leader_may_wait_for_its_pool() {
        use rayon::prelude::*;
        on(3, || {
            let sum = AtomicUsize::new(0);
            (0..40).into_par_iter().for_each(|_| {
                Team::new(3).lead(|| {
                    // While it waits here it may come to its own team's helpers, and to those of others.
                    (0..50).into_par_iter().for_each(|i| {
                        sum.fetch_add(i, Ordering::Relaxed);
                    });
                    Crew::with(3, |crew| {
                        crew.each(9, |_, i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                    });
                });
            });
            assert_eq!(sum.into_inner(), 40 * (1225 + 36));
        });
    }

    #[test]
    fn a_panic_in_any_part_comes_out_and_leaves_a_team_that_works() {
        on(2, || {
            let mut team = Team::new(2);
            for bad in 0..40 {
                let went_on = AtomicUsize::new(0);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    in_crew(&mut team, |crew| {
                        crew.each(40, |_, part| {
                            // Long enough for the other to come.
                            std::thread::sleep(Duration::from_micros(20));
                            assert_ne!(part, bad, "on purpose");
                        });
                        went_on.fetch_add(1, Ordering::Relaxed);
                    });
                }));
                assert!(result.is_err());
                assert_eq!(went_on.into_inner(), 0, "after a job of which a part was not done");
                let sum = AtomicUsize::new(0);
                in_crew(&mut team, |crew| {
                    crew.each(40, |_, part| {
                        sum.fetch_add(part, Ordering::Relaxed);
                    });
                });
                assert_eq!(sum.into_inner(), 780);
            }
        });
    }
}
