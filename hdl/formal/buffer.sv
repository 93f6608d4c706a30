// buffer: a beat that was written stays until the last copy has read it, and is read as it was; each copy reads the beats of
// its frame once, in order, from the one its strip is in to the last; places are neither lost nor made.
//
// The queue of ends is replaced by what it does: see below.
localparam F_BITS = $clog2(BUFFER_BEATS) + 1;
localparam F_COUNT = $clog2(BUS_BYTES) + 1;
localparam F_LONGEST = 9216 / BUS_BYTES;
// After `room` has gone the arbiter sends what is in its registers.
localparam F_LATE = 4;
reg [3:0] f_late = 0;
always @(posedge clk) begin
    if (valid) assume (room || f_late < F_LATE);
    f_late <= rst || room ? 0 : f_late + valid;
end

// The queue of ends: `fifo` proves that words come out once, as they were, in order. So the one that is offered is the end of
// the frame that begins at `start`, and is written. None is offered of a frame whose end is not visible; where none was, the
// end is not among the beats that were visible then.
wire [F_BITS-1:0] f_behind = ends_out_data[2*F_BITS-2+:F_BITS];
wire [F_BITS-1:0] f_place = f_behind - 1;
wire [F_BITS-1:0] f_before = f_behind - 2;
wire [F_COUNT-1:0] f_count = ends_out_data[3*F_BITS-2+:F_COUNT];
wire f_error = ends_out_data[3*F_BITS-2+F_COUNT];
wire [F_BITS-1:0] f_beats = f_behind - start;
wire [F_BITS-1:0] f_written = visible - start;
reg [F_BITS-1:0] f_none = 0; // beats of the frame, from `start` on, of which none is the last
wire f_offered = ends_out_valid & ~frame_done;
always @(posedge clk) begin
    if (f_offered) begin
        assume (ends_out_data[F_BITS-2:0] == f_place[F_BITS-2:0]);
        assume (ends_out_data[2*F_BITS-3:F_BITS-1] == f_before[F_BITS-2:0]);
        assume (f_count >= 1 && f_count <= BUS_BYTES);
        assume (f_beats >= 1 && f_beats <= F_LONGEST && f_beats <= f_written);
        assume (f_beats > f_none);
    end
    if (!ends_out_valid) assume (f_written <= F_LONGEST);
    if (frame_done) assume (ends_out_valid);
    f_none <= rst | frame_done | frame_read ? 0 : ends_out_valid ? f_none : f_written;
end

// Edits: as many as there are places; the one that comes last stays on its wires.
reg [2:0] f_edits = 0; // inside, those told of as taken not among them
reg [$bits(edit)-1:0] f_last_edit;
always @(posedge clk) begin
    if (edit_valid) assume (f_edits < 3);
    if (edit_waits) assume (edit == f_last_edit);
    f_last_edit <= edit;
    f_edits <= rst ? 0 : f_edits + edit_valid - edit_taken;
end

// What a copy is to skip is inside of its frame and, as an edit comes long behind its window, written.
wire [F_BITS-1:0] f_skipped = edit_now.strip / BUS_BYTES;
wire f_stands = armed & fresh;
wire signed [F_BITS+4:0] f_bytes = $signed({1'b0, f_beats - 1'b1}) * BUS_BYTES + $signed({1'b0, f_count});
always @(posedge clk) if (f_stands) begin
    if (f_offered) assume (f_bytes > $signed({1'b0, edit_now.strip}));
    else assume (f_written > f_skipped + 1);
end

// Slots with bytes of the packet that the copy has had.
reg [F_BITS-1:0] f_had = 0;
reg [3:0] f_fronts = 0; // and without
always @(posedge clk) begin
    if (rst) {f_had, f_fronts} <= 0;
    else if (go) begin
        f_had <= finish ? 0 : f_had + packet;
        f_fronts <= finish ? 0 : f_fronts + !packet;
    end
end
// Bytes that are to leave with this slot and those behind it, as soon as the end is known.
wire signed [F_BITS+5:0] f_away = $signed(f_place - read_at);
wire signed [F_BITS+5:0] f_left = f_away * BUS_BYTES + $signed({1'b0, f_count}) - $signed({1'b0, offset}) + $signed({1'b0, moved});
wire f_whole = f_left > BUS_BYTES;

// Any one beat is followed, of its data any one bit.
(* anyseq *) wire f_choose;
(* anyconst *) wire [$clog2(8 * BUS_BYTES)-1:0] f_bit;
reg f_follows = 0;
reg [F_BITS-1:0] f_beat = 0;
reg f_data = 0;
wire [F_BITS-1:0] f_used = written - freed;
wire [F_BITS-1:0] f_deep = f_beat - freed;
wire f_inside = f_follows && f_deep < f_used;
wire [8*BUS_BYTES-1:0] f_row = f_beat[0] ? ring_odd[f_beat[F_BITS-2:1]] : ring_even[f_beat[F_BITS-2:1]];
wire f_low = go && packet && slot.low && read_at == f_beat && f_inside;
wire f_high = go && packet && slot.high && next == f_beat && f_inside;
reg [1:0] f_reads = 0;
reg [1:0] f_odd, f_was;
wire [F_BITS-1:0] f_at = read_at - freed;
wire [F_BITS-1:0] f_next = next - freed;
wire [F_BITS-1:0] f_seen = visible - freed;
wire [F_BITS-1:0] f_unseen = written - visible;
wire [F_BITS-1:0] f_less = visible - 1;
always @(posedge clk) begin
    f_reads <= rst ? 0 : {f_reads[0], f_low | f_high};
    f_odd <= {f_odd[0], f_beat[0]};
    f_was <= {f_was[0], f_data};
    if (rst) f_follows <= 0;
    else if (!f_inside && valid && f_choose) begin
        f_follows <= 1;
        f_beat <= written;
        f_data <= beat[f_bit];
    end else if (!f_inside) f_follows <= 0;
end
reg f_done = 0;
always @(posedge clk) begin
    f_done <= frame_read & ~rst;
end

// Any one edit is followed, of it any one bit: the head, behind it, the wires it came on.
(* anyseq *) wire f_choose_edit;
(* anyconst *) wire [$clog2($bits(edit))-1:0] f_edit_bit;
reg f_edit_inside = 0;
reg [1:0] f_edit_ahead = 0;
reg f_edit = 0;
wire f_edit_leaves = edits_valid & finish_d1;
wire [1:0] f_edit_place = f_edit_ahead - edits_valid;
always @(posedge clk) begin
    if (rst) f_edit_inside <= 0;
    else if (f_edit_inside) begin
        f_edit_ahead <= f_edit_ahead - f_edit_leaves;
        if (f_edit_leaves && f_edit_ahead == 0) f_edit_inside <= 0;
    end else if (edit_valid && f_choose_edit) begin
        f_edit_inside <= 1;
        f_edit_ahead <= edits_valid + edit_behind_valid + edit_waits - f_edit_leaves;
        f_edit <= edit[f_edit_bit];
    end
end

always @(posedge clk) if (!rst) begin
    // The beat that is followed.
    if (f_inside) beat_stays_as_it_was: assert (f_row[f_bit] == f_data);
    if (f_reads[0]) beat_is_read: assert ((f_odd[0] ? ring_odd_q[f_bit] : ring_even_q[f_bit]) == f_was[0]);
    if (f_reads[1]) beat_comes_out: assert ((f_odd[1] ? odd[f_bit] : even[f_bit]) == f_was[1]);
    // What a slot reads is there: written, and not free.
    if (go && packet && slot.low) low_is_there: assert (f_at < f_seen);
    if (go && packet && slot.high && (f_offered || |offset)) high_is_there: assert (f_next < f_seen);
    // Places.
    ring_holds_what_is_not_free: assert (f_late <= F_LATE && f_used <= BUFFER_BEATS - 8 + (room ? 1 : 2 + f_late));
    visible_is_behind_written: assert (f_unseen <= 1 && f_seen <= f_used && visible_less == f_less);
    freed_by_the_last_copy: assert (freed == (edit_now.last && f_had != 0 ? read_at : start));
    frame_is_done_once: assert (frame_done == f_done);
    // The edit that is followed.
    if (f_edit_inside && f_edit_ahead == 0 && edits_valid) edit_comes_out: assert (edit_now[f_edit_bit] == f_edit);
    if (f_edit_inside && f_edit_ahead >= edits_valid && f_edit_place == 0) edit_waits_behind: assert (edit_behind_valid && edit_behind[f_edit_bit] == f_edit);
    if (f_edit_inside && f_edit_ahead >= edits_valid && f_edit_place == 1) edit_waits_on_wires: assert (edit_behind_valid && edit_waits && f_last_edit[f_edit_bit] == f_edit);
    if (f_edit_inside) edit_is_inside: assert (f_edit_ahead < edits_valid + edit_behind_valid + edit_waits);
    // A copy reads its frame from the strip on, in order, to the end.
    if (armed) reads_in_order: assert (read_at == start + f_skipped + f_had);
    if (go) marked_first: assert (slot.first == (f_had == 0 && f_fronts == 0));
    if (go) prefix_is_in_front: assert (packet == (f_fronts == edit_now.prefix / BUS_BYTES));
    if (go && slot.starts) starts_once: assert (packet && f_had == 0);
    if (go && packet && f_offered) last_when_no_more_is_left: assert (finish == !f_whole);
    if (go && !(packet && f_offered)) not_the_last: assert (!finish);
    if (finish) last_has_what_is_left: assert (slot.count == f_left && slot.count >= 1 && slot.error == f_error);
    if (go && packet && f_offered) beats_of_the_frame: assert (slot.low == (f_away >= 0) && slot.high == (f_away >= 1));
    // So that it holds by induction.
    if (armed && f_offered) something_is_left: assert (f_left >= 1);
    if (armed && !f_offered) reads_no_further: assert (f_skipped + f_had + (|offset) <= f_written);
    no_more_than_a_frame: assert (f_had <= F_LONGEST);
    none_is_written: assert (f_none <= f_written);
    if (armed && !fresh && f_offered) had_is_of_it: assert (f_skipped + f_had <= f_beats);
    armed_is_behind: assert (!armed || edits_valid && !finish_d1 && !frame_done);
    if (edit_waits) waits_behind_two: assert (edits_valid && edit_behind_valid);
    if (finish_d1) finished_is_at_the_head: assert (edits_valid && !armed);
    between_copies: assert (armed || fresh);
    if (fresh) nothing_had: assert (f_had == 0 && f_fronts == 0);
    if (!fresh) something_had: assert (f_had != 0 || f_fronts != 0);
    if (armed) most_is_of_the_edit: assert (most == offset + 7'd16 - moved);
    if (armed) front_is_of_the_edit: assert (in_front + f_fronts == edit_now.prefix / BUS_BYTES && (f_had == 0 || in_front == 0));
    if (!fresh) started_is_packet: assert (started == (f_had != 0));
    edits_are_counted: assert (f_edits <= 3 && f_edits == edits_valid + edit_behind_valid + edit_waits + edit_taken);
end
