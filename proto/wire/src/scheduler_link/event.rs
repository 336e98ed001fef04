//! What the master tells a scheduler.

use std::time::Duration;

use proffer_types::scheduler_link::Event;
use proffer_types::{InverseOffer, KnownAgent, Offer, Resources};

use crate::error::{At as _, ConvertError};
use crate::frame::chunks;
use crate::text::{message as text, millis, parse};
use crate::v1;
use crate::v1::scheduler_event as e;
use crate::v1::scheduler_event::Event as FromMaster;

/// Puts events into frames of under 1 MiB. Long lists of offers are told in several events.
#[must_use]
pub fn event_frames(events: &[Event]) -> Vec<v1::SchedulerEvents> {
    chunks(events.iter().flat_map(event_messages))
        .into_iter()
        .map(|events| v1::SchedulerEvents { events })
        .collect()
}

/// Takes a frame of events apart. One bad event spoils the frame.
pub fn from_event_frame(frame: v1::SchedulerEvents) -> Result<Vec<Event>, ConvertError> {
    let item = |(index, event)| Event::try_from(event).at_item("events", index);
    frame.events.into_iter().enumerate().map(item).collect()
}

fn event_messages(event: &Event) -> Vec<v1::SchedulerEvent> {
    let one = match event {
        Event::Offers(offers) => {
            return chunks(offers.iter().map(v1::Offer::from))
                .into_iter()
                .map(|offers| FromMaster::Offers(e::Offers { offers }).into())
                .collect();
        }
        Event::Subscribed {
            framework_id,
            master_id,
            heartbeat_interval,
        } => FromMaster::Subscribed(e::Subscribed {
            framework_id: framework_id.to_string(),
            master_id: master_id.to_string(),
            heartbeat_interval_ms: millis(*heartbeat_interval),
        }),
        Event::Rescind(offer_id) => FromMaster::Rescind(e::Rescind {
            offer_id: offer_id.to_string(),
        }),
        Event::InverseOffers(offers) => {
            return chunks(offers.iter().map(v1::InverseOffer::from))
                .into_iter()
                .map(|inverse_offers| FromMaster::InverseOffers(e::InverseOffers { inverse_offers }).into())
                .collect();
        }
        Event::RescindInverse(offer_id) => FromMaster::RescindInverseOffer(e::RescindInverseOffer {
            offer_id: offer_id.to_string(),
        }),
        Event::Update(status) => FromMaster::Update(status.into()),
        Event::OperationUpdate(status) => FromMaster::OperationUpdate(status.into()),
        Event::AgentLost(agent_id) => FromMaster::AgentLost(e::AgentLost {
            agent_id: agent_id.to_string(),
        }),
        Event::AgentAway { agent_id, away_for } => FromMaster::AgentAway(e::AgentAway {
            agent_id: agent_id.to_string(),
            away_ms: millis(*away_for),
        }),
        Event::AgentBack(agent_id) => FromMaster::AgentBack(e::AgentBack {
            agent_id: agent_id.to_string(),
        }),
        Event::Shapes { n_agents, largest } => FromMaster::Shapes(e::Shapes {
            n_agents: *n_agents,
            largest: largest.iter().map(Into::into).collect(),
        }),
        Event::Agents { agents, gone } => {
            let mut gone = gone.iter().map(ToString::to_string).collect();
            let mut chunks = chunks(agents.iter().map(known_agent));
            if chunks.is_empty() {
                chunks.push(Vec::new());
            }
            let events = chunks.into_iter().map(|agents| e::Agents {
                agents,
                gone: std::mem::take(&mut gone),
            });
            return events.map(|agents| FromMaster::Agents(agents).into()).collect();
        }
        Event::Error { message } => FromMaster::Error(e::Error {
            message: message.clone(),
        }),
        Event::Heartbeat => FromMaster::Heartbeat(e::Heartbeat {}),
    };
    vec![one.into()]
}

fn known_agent(agent: &KnownAgent) -> e::agents::Agent {
    e::agents::Agent {
        agent_id: agent.id.to_string(),
        info: Some((&agent.info).into()),
        offered: agent.is_offered,
    }
}

fn agent(message: e::agents::Agent) -> Result<KnownAgent, ConvertError> {
    let info = message.info.ok_or_else(|| ConvertError::missing("info"))?;
    Ok(KnownAgent {
        id: parse("agent_id", &message.agent_id)?,
        info: info.try_into().at("info")?,
        is_offered: message.offered,
    })
}

impl From<FromMaster> for v1::SchedulerEvent {
    fn from(event: FromMaster) -> Self {
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::SchedulerEvent> for Event {
    type Error = ConvertError;

    fn try_from(message: v1::SchedulerEvent) -> Result<Self, ConvertError> {
        match message.event.ok_or_else(|| ConvertError::missing("event"))? {
            FromMaster::Subscribed(subscribed) => Ok(Self::Subscribed {
                framework_id: parse("subscribed.framework_id", &subscribed.framework_id)?,
                master_id: parse("subscribed.master_id", &subscribed.master_id)?,
                heartbeat_interval: Duration::from_millis(subscribed.heartbeat_interval_ms),
            }),
            FromMaster::Offers(offers) => {
                let offer = |(index, offer)| Offer::try_from(offer).at_item("offers.offers", index);
                let offers = offers.offers.into_iter().enumerate().map(offer);
                Ok(Self::Offers(offers.collect::<Result<_, _>>()?))
            }
            FromMaster::Rescind(rescind) => Ok(Self::Rescind(parse("rescind.offer_id", &rescind.offer_id)?)),
            FromMaster::InverseOffers(offers) => {
                let offer = |(index, offer)| {
                    InverseOffer::try_from(offer).at_item("inverse_offers.inverse_offers", index)
                };
                let offers = offers.inverse_offers.into_iter().enumerate().map(offer);
                Ok(Self::InverseOffers(offers.collect::<Result<_, _>>()?))
            }
            FromMaster::RescindInverseOffer(rescind) => Ok(Self::RescindInverse(parse(
                "rescind_inverse_offer.offer_id",
                &rescind.offer_id,
            )?)),
            FromMaster::Update(status) => Ok(Self::Update(status.try_into().at("update")?)),
            FromMaster::OperationUpdate(status) => {
                Ok(Self::OperationUpdate(status.try_into().at("operation_update")?))
            }
            FromMaster::AgentLost(lost) => Ok(Self::AgentLost(parse("agent_lost.agent_id", &lost.agent_id)?)),
            FromMaster::AgentAway(away) => Ok(Self::AgentAway {
                agent_id: parse("agent_away.agent_id", &away.agent_id)?,
                away_for: Duration::from_millis(away.away_ms),
            }),
            FromMaster::AgentBack(back) => Ok(Self::AgentBack(parse("agent_back.agent_id", &back.agent_id)?)),
            FromMaster::Shapes(shapes) => {
                let largest = |(index, item)| Resources::try_from(item).at_item("shapes.largest", index);
                Ok(Self::Shapes {
                    n_agents: shapes.n_agents,
                    largest: shapes
                        .largest
                        .into_iter()
                        .enumerate()
                        .map(largest)
                        .collect::<Result<_, _>>()?,
                })
            }
            FromMaster::Agents(message) => {
                let agent = |(index, agent)| self::agent(agent).at_item("agents.agents", index);
                let agents = message.agents.into_iter().enumerate().map(agent);
                let gone = message.gone.iter().map(|id| parse("agents.gone", id));
                Ok(Self::Agents {
                    agents: agents.collect::<Result<_, _>>()?,
                    gone: gone.collect::<Result<_, _>>()?,
                })
            }
            FromMaster::Error(error) => Ok(Self::Error {
                message: text(error.message),
            }),
            FromMaster::Heartbeat(_) => Ok(Self::Heartbeat),
        }
    }
}
