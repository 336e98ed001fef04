//! Every message that a peer sends, through its conversion and back: what is taken must mean the same when it is sent on.

use std::fmt::Debug;

use proffer_service_core::{ServiceSpec, VirtualService};
use proffer_types::agent_link::MasterMessage;
use proffer_types::discovery::DiscoveredService;
use proffer_types::edge_report::EdgeReport;
use proffer_types::policy::NetworkPolicy;
use proffer_types::{ExecutorInfo, FrameworkInfo, Offer, OperationStatus, Resources, TaskInfo, TaskStatus};
use proffer_wire::agent_link::{Registration, agent_frames, from_master_frame, master_frames};
use proffer_wire::scheduler_link::{call_frames, event_frames, from_call_frame, from_event_frame};
use proffer_wire::{ConvertError, v1};
use prost::Message;

use crate::master;

pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 17 {
        0 => agent_frame(bytes),
        1 => master_frame(bytes),
        2 => calls(bytes),
        3 => events(bytes),
        4 => both_ways::<v1::TaskInfo, TaskInfo>(bytes),
        5 => both_ways::<v1::TaskStatus, TaskStatus>(bytes),
        6 => both_ways::<v1::Resources, Resources>(bytes),
        7 => both_ways::<v1::FrameworkInfo, FrameworkInfo>(bytes),
        8 => both_ways::<v1::Offer, Offer>(bytes),
        9 => both_ways::<v1::OperationStatus, OperationStatus>(bytes),
        10 => both_ways::<v1::ExecutorInfo, ExecutorInfo>(bytes),
        11 => both_ways::<v1::AgentInfo, proffer_types::AgentInfo>(bytes),
        12 => both_ways::<v1::DiscoveredService, DiscoveredService>(bytes),
        13 => both_ways::<v1::EdgeReport, EdgeReport>(bytes),
        14 => both_ways::<v1::VirtualService, VirtualService>(bytes),
        15 => both_ways::<v1::NetworkPolicy, NetworkPolicy>(bytes),
        _ => both_ways::<v1::ServiceSpec, ServiceSpec>(bytes),
    }
}

fn both_ways<M, T>(bytes: &[u8])
where
    M: Message + Default + for<'a> From<&'a T>,
    T: TryFrom<M, Error = ConvertError> + PartialEq + Debug,
{
    let Ok(message) = M::decode(bytes) else {
        return;
    };
    if let Ok(value) = T::try_from(message) {
        let again = T::try_from(M::from(&value));
        assert_eq!(again.as_ref(), Ok(&value));
    }
}

fn agent_frame(bytes: &[u8]) {
    let Ok(frame) = v1::AgentFrame::decode(bytes) else {
        return;
    };
    let Ok((session, messages)) = Registration::default().push(frame) else {
        return;
    };
    let mut again = Registration::default();
    let mut received = Vec::new();
    for frame in agent_frames(session, &messages) {
        received.extend(
            again
                .push(frame)
                .map(|(_, messages)| messages)
                .into_iter()
                .flatten(),
        );
    }
    assert_eq!(received, messages);
}

fn master_frame(bytes: &[u8]) {
    let Ok(frame) = v1::MasterFrame::decode(bytes) else {
        return;
    };
    let Ok((session, messages)) = from_master_frame(frame) else {
        return;
    };
    let mut received: Vec<MasterMessage> = Vec::new();
    for frame in master_frames(session, &messages) {
        received.extend(
            from_master_frame(frame)
                .map(|(_, messages)| messages)
                .into_iter()
                .flatten(),
        );
    }
    assert_eq!(received, messages);
}

fn calls(bytes: &[u8]) {
    let Ok(frame) = v1::SchedulerCalls::decode(bytes) else {
        return;
    };
    if let Ok(calls) = from_call_frame(frame) {
        let received = call_frames(&calls).into_iter().map(from_call_frame);
        // Tasks that were refused on the way in are known as such, and not sent on.
        assert!(received.into_iter().all(|calls| calls.is_ok()));
    }
}

fn events(bytes: &[u8]) {
    let Ok(frame) = v1::SchedulerEvents::decode(bytes) else {
        return;
    };
    if let Ok(events) = from_event_frame(frame) {
        let received: Result<Vec<_>, _> = event_frames(&events).into_iter().map(from_event_frame).collect();
        assert_eq!(received.map(|events| events.concat()), Ok(events));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let task = master::task("t", &master::agent_id());
    let status = v1::TaskStatus {
        task_id: "t".to_owned(),
        agent_id: master::agent_id(),
        state: v1::TaskState::TaskRunning.into(),
        source: v1::StatusSource::SourceAgent.into(),
        uuid: vec![7; 16],
        ..v1::TaskStatus::default()
    };
    let run = v1::master_message::RunTask {
        framework_id: master::id().framework(0).to_string(),
        role: "web".to_owned(),
        task_info: Some(task.clone()),
    };
    let frame = v1::MasterFrame {
        session: 1,
        messages: vec![v1::MasterMessage {
            message: Some(v1::master_message::Message::RunTask(run)),
        }],
    };
    let seed = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    vec![
        seed(0, master::registration().encode_to_vec()),
        seed(1, frame.encode_to_vec()),
        seed(2, master::subscription().encode_to_vec()),
        seed(
            2,
            master::acceptance(master::id().offer(0).as_str()).encode_to_vec(),
        ),
        seed(4, task.encode_to_vec()),
        seed(5, status.encode_to_vec()),
        seed(6, master::resources().encode_to_vec()),
        seed(7, master::framework_info().encode_to_vec()),
        seed(11, master::agent_info().encode_to_vec()),
        seed(12, discovered().encode_to_vec()),
        seed(13, report().encode_to_vec()),
        seed(14, virtual_service().encode_to_vec()),
        seed(15, policy().encode_to_vec()),
        seed(16, service(task.container).encode_to_vec()),
    ]
}

fn name() -> Option<v1::ServiceName> {
    Some(v1::ServiceName {
        namespace: "default".to_owned(),
        name: "web".to_owned(),
    })
}

fn port() -> v1::DiscoveredPort {
    v1::DiscoveredPort {
        name: "http".to_owned(),
        number: 80,
        protocol: v1::PortProtocol::PortHttp.into(),
        published: Some(8080),
        outlier: Some(v1::OutlierDetection::default()),
        ..v1::DiscoveredPort::default()
    }
}

fn endpoint_ports() -> Vec<v1::EndpointPort> {
    vec![v1::EndpointPort {
        name: "http".to_owned(),
        number: 31000,
    }]
}

fn discovered() -> v1::DiscoveredService {
    v1::DiscoveredService {
        name: name(),
        virtual_address: "10.213.0.1".to_owned(),
        ports: vec![port()],
        endpoints: vec![v1::Endpoint {
            id: "web.0.1".to_owned(),
            address: "10.0.0.1".to_owned(),
            ports: endpoint_ports(),
            weight: 1,
            agent_id: master::agent_id(),
            probe: false,
        }],
        more: false,
        network: Some(v1::ServiceNetwork {
            labels: [("app".to_owned(), "web".to_owned())].into(),
            members: vec![v1::ServiceMember {
                host: "10.0.0.1".to_owned(),
                address: "10.88.0.2".to_owned(),
                ports: vec![v1::MemberPort {
                    protocol: v1::PortProtocol::PortTcp.into(),
                    name: "http".to_owned(),
                    number: 80,
                    host_number: 31000,
                }],
            }],
            doors: vec![v1::ServiceDoor {
                protocol: v1::PortProtocol::PortTcp.into(),
                port: 80,
                service: name(),
                target_name: "http".to_owned(),
                target: 80,
            }],
        }),
    }
}

fn policy() -> v1::NetworkPolicy {
    let peer = |peer| v1::PolicyPeer { peer: Some(peer) };
    v1::NetworkPolicy {
        name: "db.shop".to_owned(),
        selector: [("app".to_owned(), "db".to_owned())].into(),
        ingress: vec![v1::IngressRule {
            from: vec![
                peer(v1::policy_peer::Peer::Services(v1::ServicePeers {
                    namespace: "*".to_owned(),
                    selector: [("app".to_owned(), "web".to_owned())].into(),
                })),
                peer(v1::policy_peer::Peer::Service("web".to_owned())),
                peer(v1::policy_peer::Peer::Addresses(v1::AddressBlock {
                    cidr: "10.0.0.0/8".to_owned(),
                    except: vec!["10.1.0.0/16".to_owned()],
                })),
            ],
            ports: vec![v1::PolicyPort {
                protocol: v1::PortProtocol::PortTcp.into(),
                port: Some(v1::policy_port::Port::Number(80)),
                last: 90,
            }],
        }],
    }
}

fn report() -> v1::EdgeReport {
    v1::EdgeReport {
        edge: "host".to_owned(),
        listeners: vec![v1::ListenerFailure {
            service: name(),
            port: 80,
            address: "0.0.0.0:80".to_owned(),
            reason: "in use".to_owned(),
        }],
        endpoints: vec![v1::EndpointFinding {
            service: name(),
            port: 80,
            endpoint_id: "web.0.1".to_owned(),
            condition: v1::EndpointCondition::EndpointEjected.into(),
        }],
        traffic: vec![v1::EndpointTraffic {
            service: name(),
            port: 80,
            endpoint_id: "web.0.1".to_owned(),
            count: 3,
            by_class: vec![0, 2, 0, 0, 1],
            failed: 0,
            latency: vec![3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            latency_sum_us: 900,
            in_flight: 1,
        }],
        interval_ms: 1000,
        policy: Some(v1::PolicyReport {
            hosts: vec!["10.0.0.1".to_owned()],
            problem: "nft is not installed".to_owned(),
        }),
    }
}

fn virtual_port() -> v1::VirtualPort {
    v1::VirtualPort {
        port: Some(port()),
        target: Some(v1::virtual_port::Target::TargetNumber(8080)),
    }
}

fn virtual_service() -> v1::VirtualService {
    v1::VirtualService {
        name: "web.shop".to_owned(),
        ports: vec![virtual_port()],
        selector: [("app".to_owned(), "web".to_owned())].into(),
        endpoints: vec![v1::StaticEndpoint {
            address: "192.168.1.1".to_owned(),
            ports: endpoint_ports(),
        }],
        headless: false,
    }
}

fn service(container: Option<v1::ContainerSpec>) -> v1::ServiceSpec {
    v1::ServiceSpec {
        name: "web".to_owned(),
        replicas: 2,
        task: Some(v1::ServiceTask {
            resources: Some(master::resources()),
            container,
            ..v1::ServiceTask::default()
        }),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        expose: vec![virtual_port()],
        shutdown_delay_ms: Some(1000),
        ..v1::ServiceSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_of_services_are_taken() {
        let container = master::task("t", &master::agent_id()).container;
        assert!(DiscoveredService::try_from(discovered()).is_ok());
        assert!(EdgeReport::try_from(report()).is_ok());
        assert!(VirtualService::try_from(virtual_service()).is_ok());
        assert!(ServiceSpec::try_from(service(container)).is_ok());
    }
}
