//! What each role has, may have and is guaranteed.

use proffer_master_core::Snapshot;
use proffer_types::{ResourceName, Timestamp};
use proffer_wire::resources::scalar;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use crate::operator::role_share;

type Fraction = Gauge<f64, AtomicU64>;

/// Of roles that have a setting, a framework, a claim or a reservation; others have no line.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    share: Family<RoleLabel, Fraction>,
    guarantee: Family<Amount, Fraction>,
    limit: Family<Amount, Fraction>,
    consumed: Family<Amount, Fraction>,
    waiting: Family<RoleLabel, Fraction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: String,
}

/// One resource of a role, in the units of the wire: cores, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Amount {
    role: String,
    resource: String,
}

impl Roles {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "role_dominant_share",
            "The largest share of any one resource a role has, over its weight",
            self.share.clone(),
        );
        registry.register(
            "role_quota_guarantee",
            "What a role is guaranteed, by resource",
            self.guarantee.clone(),
        );
        registry.register(
            "role_quota_limit",
            "What a role is limited to, by resource",
            self.limit.clone(),
        );
        registry.register(
            "role_quota_consumed",
            "What of a role counts against its quota, by resource",
            self.consumed.clone(),
        );
        registry.register(
            "role_demand_waiting_seconds",
            "How long what frameworks of the role want, and has waited longest, has got nothing; 0 where nothing waits",
            self.waiting.clone(),
        );
    }

    /// Roles come and go, so every line is made anew.
    pub(super) fn set(&self, snapshot: &Snapshot, now: Timestamp) {
        self.share.clear();
        self.set_waiting(snapshot, now);
        for family in [&self.guarantee, &self.limit, &self.consumed] {
            family.clear();
        }
        for view in &snapshot.roles {
            let role = view.role.to_string();
            let share = role_share(view, &snapshot.ledger).permille();
            self.share
                .get_or_create(&RoleLabel { role: role.clone() })
                .set(f64::from(share) / 1000.0);
            let set = |family: &Family<Amount, Fraction>, name: &ResourceName, units| {
                let (role, resource) = (role.clone(), name.to_string());
                family
                    .get_or_create(&Amount { role, resource })
                    .set(scalar(name, units));
            };
            for (name, units) in view.quota.guarantee.scalars() {
                set(&self.guarantee, name, units);
            }
            for (name, units) in &view.quota.limit {
                set(&self.limit, name, *units);
            }
            for (name, units) in view.consumed.scalars() {
                set(&self.consumed, name, units);
            }
        }
    }

    fn set_waiting(&self, snapshot: &Snapshot, now: Timestamp) {
        self.waiting.clear();
        for view in &snapshot.roles {
            let role = view.role.to_string();
            self.waiting.get_or_create(&RoleLabel { role }).set(0.0);
        }
        for (_, leaf) in snapshot.ledger.leaves() {
            let role = snapshot
                .ledger
                .role(leaf.role)
                .and_then(|role| role.name.as_ref());
            let oldest = leaf.waits().map(|(since, _)| since).min();
            if let (Some(role), Some(oldest)) = (role, oldest) {
                let role = role.to_string();
                let gauge = self.waiting.get_or_create_owned(&RoleLabel { role });
                gauge.set(gauge.get().max(now.since(oldest).as_secs_f64()));
            }
        }
    }
}
