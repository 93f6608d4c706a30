//! How the queues of outputs are served: the rows of `queue`, all at once.

use seqnic_gen::{Circuit, GenError, Module, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{OUTPUT_QUEUES, QUEUE_ROW, Table};

use super::{CONFIG_READ_CLOCKS, Config};

/// The rows: module `table_queue`.
///
/// | port | bits | |
/// | --- | --- | --- |
/// | `rows0` ... | width of a row * queues | of each output, the lowest queue first |
///
/// and the configuration bus. Rows of outputs and queues that the card has not are not kept.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Queue;
    let m = Module::new("table_queue");
    m.doc("How the queues of outputs are served. Registers: every output needs its rows in every clock.");
    let width = QUEUE_ROW.width();
    let config = Config::inputs(&m, g, width);
    let mut answers = vec![];
    for output in 0..=g.host_port() {
        let rows: Vec<Sig> = (0..g.queues)
            .map(|queue| {
                let number = output * OUTPUT_QUEUES + queue;
                let row = m.reg(&format!("row_{output}_{queue}"), width, 0);
                let mine = config.row_is(table, number);
                row.set_when(config.sets(table, number), config.wdata);
                answers.push(row.q().when((config.read & mine).as_valid().reg()));
                row.q()
            })
            .collect();
        let rows: Vec<Sig> = rows.into_iter().rev().collect();
        m.output(&format!("rows{output}"), m.concat(&rows));
    }
    let answer = m.or(&answers).as_valid().delay(CONFIG_READ_CLOCKS - 1);
    m.output("cfg_rdata", answer);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use seqnic_gen::Sim;

    #[test]
    fn rows_are_kept_and_shown_where_there_are_queues() {
        let g = Geometry {
            queues: 2,
            ports: 3,
            ..SMALL
        };
        let mut sim = Sim::new(&build(&g).unwrap());
        let mut random = Random::new(1);
        sim.reset();
        let rows: Vec<_> = (0..g.rows(Table::Queue))
            .map(|_| random.row(QUEUE_ROW.width()))
            .collect();
        for (number, row) in rows.iter().enumerate() {
            write_row(&mut sim, Table::Queue, number as u32, row);
        }
        for (number, row) in (0..).zip(&rows) {
            let (output, queue) = (number / OUTPUT_QUEUES, number % OUTPUT_QUEUES);
            let back = read_row(&mut sim, &g, Table::Queue, number);
            if output > g.host_port() || queue >= g.queues {
                assert!(back.is_zero(), "row {number}");
                continue;
            }
            assert_eq!(back, *row, "row {number}");
            let shown = sim.get_bits(&format!("rows{output}"));
            let width = QUEUE_ROW.width();
            assert_eq!(shown.slice(queue * width, width), bits(row));
        }
    }
}
