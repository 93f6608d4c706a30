// egress_queues: what `dispatch` sends there has a place in its queue, leaves in the order of its queue, each beat once and as
// it was, with its frame's sideband, frames not mixed, by the rules of AXI4-Stream. `dispatch` decides about a frame a clock
// before its first beat, by the `room` of its queue in that clock, and then sends all of it; no frame is longer than the
// longest that leaves.
//
// Of the memories any one row is kept as it is (`users`: one; `beats`: one and that before it; `lasts_<n>`: the one of `beats`), the others answer anything that
// `rows_are_in_order` and what stands with it would allow: it is proved of the kept row, which is any, and so holds of all a clock later.
localparam F_LONGEST = (LONGEST_OUT + BUS_BYTES - 1) / BUS_BYTES;
localparam F_QUEUES = $bits(room);
localparam F_Q = $clog2(F_QUEUES);
localparam F_AT = $bits(beats_0_read_at);
localparam F_N = $bits(beats_0_count);
(* anyseq *) wire f_soon;
(* anyseq *) wire f_last;
(* anyseq *) wire [F_Q-1:0] f_any_queue;
reg f_open = 0; // a frame is being decided about, or beats of it are to come
reg f_takes = 0;
reg [F_Q-1:0] f_to = 0;
reg [15:0] f_beats = 0; // of that frame so far
reg f_sends = 0; // a beat comes in this clock
reg f_sends_first = 0;
reg f_sends_last = 0;
reg [F_Q-1:0] f_sends_to = 0;
wire [F_Q-1:0] f_queue = f_open ? f_to : f_any_queue;
wire f_decided = f_open ? f_takes : room[f_queue];
reg f_in = 0; // beats of a frame have come, but not its last
reg [F_Q-1:0] f_in_to = 0;
always @(posedge clk) begin
    f_sends <= f_soon & f_decided & ~rst;
    f_sends_first <= ~f_open;
    f_sends_last <= f_last;
    f_sends_to <= f_queue;
    if (f_soon && f_beats == F_LONGEST - 1) assume (f_last);
    assume (push == f_sends);
    if (push) assume (beat.first == f_sends_first && beat.last == f_sends_last && queue == f_sends_to);
    if (rst) begin
        f_open <= 0;
        f_beats <= 0;
        f_in <= 0;
    end else begin
        if (f_soon) begin
            f_open <= ~f_last;
            f_takes <= f_decided;
            f_to <= f_queue;
            f_beats <= f_last ? 0 : f_beats + 1;
        end
        if (push) begin
            f_in <= ~f_sends_last;
            f_in_to <= f_sends_to;
        end
    end
end
// The same behind the beat that comes in this clock.
wire f_after = f_sends ? ~f_sends_last : f_in;
wire [F_Q-1:0] f_after_to = f_sends ? f_sends_to : f_in_to;

// Rows, pointers and counts by queue.
wire [F_QUEUES*F_N-1:0] f_counts = {beats_3_count, beats_2_count, beats_1_count, beats_0_count};
wire [F_QUEUES*F_AT-1:0] f_reads = {beats_3_read_at, beats_2_read_at, beats_1_read_at, beats_0_read_at};
wire [F_QUEUES*F_AT-1:0] f_writes = {beats_3_write_at, beats_2_write_at, beats_1_write_at, beats_0_write_at};
wire [F_QUEUES*F_N-1:0] f_users = {users_3_count, users_2_count, users_1_count, users_0_count};
wire [F_QUEUES*F_AT-1:0] f_user_reads = {users_3_read_at, users_2_read_at, users_1_read_at, users_0_read_at};
wire [F_QUEUES*F_AT-1:0] f_user_writes = {users_3_write_at, users_2_write_at, users_1_write_at, users_0_write_at};
wire [F_QUEUES-1:0] f_begins = {begins_3, begins_2, begins_1, begins_0};
wire [F_QUEUES-1:0] f_begun = {begun_3, begun_2, begun_1, begun_0};
localparam F_DATA = 8 * BUS_BYTES;
localparam F_COUNT = $clog2(BUS_BYTES) + 1;
localparam F_ERROR = F_DATA + F_COUNT;
wire [F_Q-1:0] f_current = {current[2] | current[3], current[1] | current[3]};
wire [F_Q-1:0] f_next = {next[2] | next[3], next[1] | next[3]};
wire f_reading = ~ended; // the frame of `current` is in the middle

// A beat that is offered stays.
reg f_stalled = 0;
reg [$bits(head)-1:0] f_offered;
wire [$bits(head)-1:0] f_now = {m_tuser, m_tlast, m_tkeep, m_tdata};
always @(posedge clk) begin
    f_stalled <= m_tvalid & ~m_tready & ~rst;
    f_offered <= f_now;
end

// Of which queue the beats behind the memory are, and the one that left last; whether its frame goes on.
reg [F_Q-1:0] f_head_of = 0, f_behind_of = 0, f_left_of = 0;
reg f_left_open = 0;
wire [F_Q-1:0] f_going = read_valid ? f_current : f_sends_to;
wire f_leaves = m_tvalid & m_tready;
always @(posedge clk) begin
    if (advance & (behind_valid | more)) f_head_of <= behind_valid ? f_behind_of : f_going;
    if ((advance == behind_valid) & more) f_behind_of <= f_going;
    if (rst) f_left_open <= 0;
    else if (f_leaves) begin
        f_left_open <= ~m_tlast;
        f_left_of <= f_head_of;
    end
end
wire f_head_last = head[F_DATA + BUS_BYTES];
wire f_behind_last = behind[F_DATA + BUS_BYTES];
wire f_open_1 = head_valid ? ~f_head_last : f_left_open;
wire [F_Q-1:0] f_of_1 = head_valid ? f_head_of : f_left_of;
wire f_open_2 = behind_valid ? ~f_behind_last : f_open_1;
wire [F_Q-1:0] f_of_2 = behind_valid ? f_behind_of : f_of_1;

// Any one beat is followed from where it enters to where it leaves: memory, its output, the place behind, head.
(* anyconst *) wire [F_Q+F_AT-1:0] f_row; // where it is if it is stored
wire [F_Q-1:0] f_q = f_row[F_AT+:F_Q];
wire [F_AT-1:0] f_row_before = f_row[F_AT-1:0] - 1;
// Whether these two are a frame's last beat, as they were stored: the bit has a memory of its own in each queue.
reg f_last_0, f_last_1_before;
wire [F_AT-1:0] lasts_0_at_0 = f_row[F_AT-1:0], lasts_1_at_0 = f_row[F_AT-1:0], lasts_2_at_0 = f_row[F_AT-1:0], lasts_3_at_0 = f_row[F_AT-1:0];
wire [F_QUEUES-1:0] f_lasts_kept = {lasts_3_kept_0, lasts_2_kept_0, lasts_1_kept_0, lasts_0_kept_0};
wire [F_Q+F_AT-1:0] beats_at_0 = f_row;
wire [F_Q+F_AT-1:0] beats_at_1 = {f_q, f_row_before};
wire [F_AT-1:0] f_write_at = f_writes[f_sends_to*F_AT+:F_AT];
wire [F_Q+F_AT-1:0] f_stores_at = {f_sends_to, f_write_at};
(* anyseq *) wire f_choose;
reg f_follows = 0;
reg [15:0] f_ahead = 0; // of its queue
reg [$bits(arriving)-1:0] f_beat;
reg f_beat_last;
wire [F_DATA+BUS_BYTES+1:0] f_shown = {f_beat[F_ERROR] & f_beat_last, f_beat_last, ~({BUS_BYTES{1'b1}} << f_beat[F_DATA+:F_COUNT]), f_beat[F_DATA-1:0]};
wire f_at_head = head_valid && f_head_of == f_q;
wire f_at_behind = behind_valid && f_behind_of == f_q;
wire f_at_read = read_valid && f_current == f_q;
wire [1:0] f_front_2 = {1'b0, f_at_head} + {1'b0, f_at_behind};
wire [1:0] f_front = f_front_2 + {1'b0, f_at_read};
wire [F_N-1:0] f_q_count = f_counts[f_q*F_N+:F_N];
wire [15:0] f_inside = f_q_count + f_front;
wire [F_AT-1:0] f_place = f_reads[f_q*F_AT+:F_AT] + f_ahead - f_front;
wire f_q_leaves = f_leaves && f_head_of == f_q;
always @(posedge clk) begin
    if (rst) f_follows <= 0;
    else if (f_follows) begin
        if (f_q_leaves) begin
            if (f_ahead == 0) f_follows <= 0;
            f_ahead <= f_ahead - 1;
        end
    end else if (push && f_choose && f_sends_to == f_q && (!stores || f_stores_at == f_row)) begin
        f_follows <= 1;
        f_ahead <= f_inside - f_q_leaves;
        f_beat <= arriving;
        f_beat_last <= f_sends_last;
    end
end

always @(posedge clk) if (!rst) begin
    if (f_stalled) offer_stays: assert (m_tvalid);
    if (f_stalled) offered_data_stays: assert (f_now == f_offered);
    if (f_left_open && m_tvalid) frames_are_not_mixed: assert (f_head_of == f_left_of);
    if (m_tvalid && m_tuser[$bits(m_tuser)-1]) error_with_the_last: assert (m_tlast);
    if (f_follows) followed_is_inside: assert (f_ahead < f_inside);
    if (f_follows && f_ahead == 0 && f_at_head) beat_comes_out: assert (head[F_DATA+BUS_BYTES+1:0] == f_shown);
    if (f_follows && f_ahead == f_at_head && f_at_behind) beat_waits_behind: assert (behind[F_DATA+BUS_BYTES+1:0] == f_shown);
    if (f_follows && f_ahead == f_front_2 && f_at_read) beat_is_read: assert (beats_q == f_beat && read_last == f_beat_last);
    if (f_follows && f_ahead >= f_front) beat_waits_in_memory: assert (f_place == f_row[F_AT-1:0] && beats_kept_0 == f_beat && f_last_0 == f_beat_last);
    takes_is_of_an_open_frame: assert (f_open ? f_beats != 0 && f_beats < F_LONGEST : f_beats == 0);
    // So that it holds by induction.
    what_is_sent_is_of_it: assert (f_after == (f_open & f_takes) && (!f_after || f_after_to == f_to));
    if (f_sends) sent_is_in_order: assert (f_sends_first == !f_in && (!f_in || f_sends_to == f_in_to));
    one_is_current: assert (current != 0 && (current & (current - 1)) == 0);
    if (behind_valid) behind_a_head: assert (head_valid);
    if (behind_valid && behind[F_DATA + BUS_BYTES + 1]) error_waits_with_the_last: assert (f_behind_last);
    if (behind_valid && f_open_1) behind_goes_on: assert (f_behind_of == f_of_1);
    if (f_open_2 && (read_valid || !closed)) read_goes_on: assert (f_current == f_of_2);
    if (!read_valid) closed_behind_a_frame: assert (closed == !f_open_2);
    fresh_behind_a_frame: assert (fresh == !f_open_2);
    if (issue) oldest_is_read: assert (read_address == {f_next, f_reads[f_next*F_AT+:F_AT]} && f_counts[f_next*F_N+:F_N] != 0);
    no_row_is_read_as_it_is_written: assert (!(issue && stores && read_address == f_stores_at));
end

// What `scheduler` takes for granted.
reg [F_QUEUES-1:0] f_left = 0;
always @(posedge clk) begin
    f_left <= rst ? 0 : waits & ~((free ? (ended ? pick : current & waits) : 0) & ~several);
    if (!rst) who_has_a_beat_left_waits: assert ((f_left & ~waits) == 0 && (several & ~waits) == 0);
end

// Frames and their sidebands are in two memories. For the proof each beat in memory says whether it is of the frame that is followed,
// whether it is a frame's first, and the number of its frame's sideband, counted over all that its queue stored (more bits
// than the memory's addresses).
localparam F_WIDE = F_AT + 2;
reg [F_QUEUES*F_WIDE-1:0] f_user_read = 0, f_user_written = 0;
wire [F_WIDE-1:0] f_number = f_user_written[f_sends_to*F_WIDE+:F_WIDE] - (f_sends_first ? 0 : 1);
// Any one frame is followed, once and for all, and its sideband.
(* anyconst *) wire [F_Q+F_AT-1:0] users_at_0;
(* anyseq *) wire f_choose_frame;
reg f_frame = 0;
reg [F_Q-1:0] f_frame_of = 0;
reg f_frame_in = 0; // beats of it are coming
reg f_frame_stored = 0; // its sideband waits in the memory
reg [F_WIDE-1:0] f_frame_number = 0;
reg [$bits(user_in)-1:0] f_user;
wire f_chosen = push & f_sends_first & f_choose_frame & ~f_frame & (~stores | users_at_0 == {f_sends_to, f_number[F_AT-1:0]});
wire f_mine = f_sends_first ? f_chosen : f_frame_in; // the beat that comes is of it
reg f_mine_read = 0, f_mine_behind = 0, f_mine_head = 0, f_mine_gone = 0;
wire f_mine_going = read_valid ? f_mine_read : f_mine;
wire f_mine_open = read_valid ? f_mine_read : f_mine_gone; // the frame in the middle is
// Of the two rows that are kept; of any third its number.
reg [F_WIDE+1:0] f_of_0, f_of_1_before;
(* anyconst *) wire [F_Q+F_AT-1:0] f_third;
reg [F_WIDE-1:0] f_third_number;
(* anyseq *) wire [F_WIDE+1:0] f_of_other;
wire [F_WIDE+1:0] f_of_read = read_address == beats_at_0 ? f_of_0 : read_address == beats_at_1 ? f_of_1_before : f_of_other;
(* anyseq *) wire f_last_other;
wire f_last_read = read_address == beats_at_1 ? f_last_1_before : f_last_other;
always @(posedge clk) begin
    if (stores && f_stores_at == beats_at_0) f_of_0 <= {f_mine, f_sends_first, f_number};
    if (stores && f_stores_at == beats_at_1) f_of_1_before <= {f_mine, f_sends_first, f_number};
    if (stores && f_stores_at == beats_at_0) f_last_0 <= f_sends_last;
    if (stores && f_stores_at == beats_at_1) f_last_1_before <= f_sends_last;
    if (stores && f_stores_at == f_third) f_third_number <= f_number;
    if (issue) f_mine_read <= f_of_read[F_WIDE+1];
    if (advance & (behind_valid | more)) f_mine_head <= behind_valid ? f_mine_behind : f_mine_going;
    if ((advance == behind_valid) & more) f_mine_behind <= f_mine_going;
    if (goes) f_mine_gone <= f_mine_going;
    if (push) f_frame_in <= f_mine & ~f_sends_last;
    if (f_chosen) begin
        f_frame <= 1;
        f_frame_of <= f_sends_to;
        f_frame_number <= stores ? f_number : f_number - 1;
        f_user <= user_in;
        f_frame_stored <= stores;
    end else if (f_begun[f_frame_of] && f_user_read[f_frame_of*F_WIDE+:F_WIDE] == f_frame_number) f_frame_stored <= 0;
    if (rst) begin
        f_frame <= 0;
        f_frame_in <= 0;
        f_frame_stored <= 0;
    end
end
wire [F_QUEUES-1:0] f_q_all_of_a_frame_fits, f_q_all_sidebands_fit, f_q_memory_is_between_pointers, f_q_sidebands_are_counted, f_q_sideband_pointers, f_q_nothing_waits;
genvar f_n;
generate for (f_n = 0; f_n < F_QUEUES; f_n = f_n + 1) begin : f_of
    always @(posedge clk) if (rst) begin
        f_user_read[f_n*F_WIDE+:F_WIDE] <= 0;
        f_user_written[f_n*F_WIDE+:F_WIDE] <= 0;
    end else begin
        f_user_read[f_n*F_WIDE+:F_WIDE] <= f_user_read[f_n*F_WIDE+:F_WIDE] + f_begun[f_n];
        f_user_written[f_n*F_WIDE+:F_WIDE] <= f_user_written[f_n*F_WIDE+:F_WIDE] + f_begins[f_n];
    end
    wire [F_N-1:0] count = f_counts[f_n*F_N+:F_N];
    wire [F_AT-1:0] read_at = f_reads[f_n*F_AT+:F_AT];
    wire [F_AT-1:0] write_at = f_writes[f_n*F_AT+:F_AT];
    wire [F_N-1:0] users_in = f_users[f_n*F_N+:F_N];
    wire [F_WIDE-1:0] user_read = f_user_read[f_n*F_WIDE+:F_WIDE];
    wire [F_WIDE-1:0] user_written = f_user_written[f_n*F_WIDE+:F_WIDE];
    // What may still come.
    wire [15:0] left = (f_open && f_takes && f_to == f_n ? F_LONGEST - f_beats : 0) + (f_sends && f_sends_to == f_n);
    wire reads = f_reading && current[f_n];
    wire comes = f_in && f_in_to == f_n;
    wire [F_AT-1:0] behind_it = read_at + count;
    wire [F_WIDE-1:0] apart = user_written - user_read;
    assign f_q_all_of_a_frame_fits[f_n] = count + left <= EGRESS_BEATS;
    assign f_q_all_sidebands_fit[f_n] = users_in + (f_sends && f_sends_first && f_sends_to == f_n) <= EGRESS_BEATS;
    assign f_q_memory_is_between_pointers[f_n] = write_at == behind_it;
    assign f_q_sidebands_are_counted[f_n] = apart == users_in;
    assign f_q_sideband_pointers[f_n] = f_user_reads[f_n*F_AT+:F_AT] == user_read[F_AT-1:0] && f_user_writes[f_n*F_AT+:F_AT] == user_written[F_AT-1:0];
    assign f_q_nothing_waits[f_n] = !(count == 0) || users_in == 0 && reads == comes && (!reads || f_frame_in == f_mine_open);
end endgenerate
always @(posedge clk) if (!rst) begin
    all_of_a_frame_fits: assert (&f_q_all_of_a_frame_fits);
    all_sidebands_fit: assert (&f_q_all_sidebands_fit);
    memory_is_between_pointers: assert (&f_q_memory_is_between_pointers);
    sidebands_are_counted: assert (&f_q_sidebands_are_counted);
    sideband_pointers: assert (&f_q_sideband_pointers);
    nothing_waits: assert (&f_q_nothing_waits);
end

// What holds of the row that is kept ([0]) and of that before it ([1]), each if there is a beat in it.
wire [F_AT-1:0] f_q_read_at = f_reads[f_q*F_AT+:F_AT];
wire [F_WIDE-1:0] f_q_read = f_user_read[f_q*F_WIDE+:F_WIDE];
wire [F_WIDE-1:0] f_q_written = f_user_written[f_q*F_WIDE+:F_WIDE];
wire f_q_reads = f_reading && f_current == f_q;
wire f_q_comes = f_in && f_in_to == f_q;
wire [1:0] f_is_in, f_numbers_hold, f_newest_holds;
wire [F_AT-1:0] f_deep = f_row[F_AT-1:0] - f_q_read_at;
generate for (f_n = 0; f_n < 2; f_n = f_n + 1) begin : f_kept
    wire [F_AT-1:0] deep = f_n ? f_deep - 1 : f_deep;
    wire [F_N-1:0] rest = f_q_count - deep;
    wire [F_WIDE+1:0] is = f_n ? f_of_1_before : f_of_0;
    wire [F_WIDE-1:0] since = f_q_written - is[F_WIDE-1:0];
    wire last = f_n ? f_last_1_before : f_last_0;
    assign f_is_in[f_n] = deep < f_q_count;
    // Sidebands from its frame's on: at least one, at most as many as beats.
    assign f_numbers_hold[f_n] = !f_is_in[f_n] || since != 0 && since <= rest;
    assign f_newest_holds[f_n] = !(f_is_in[f_n] && rest == 1) || last == !f_q_comes && since == 1 && (!f_q_comes || is[F_WIDE+1] == f_frame_in);
end endgenerate
wire f_first_0 = f_of_0[F_WIDE];
wire f_mine_0 = f_of_0[F_WIDE+1];
wire [F_WIDE-1:0] f_number_0 = f_of_0[F_WIDE-1:0];
wire [F_WIDE-1:0] f_number_on = f_of_1_before[F_WIDE-1:0] + f_first_0;
wire [F_WIDE-1:0] f_number_oldest = f_q_read - (f_first_0 ? 0 : 1);
wire [F_AT-1:0] f_third_deep = f_third[F_AT-1:0] - f_q_read_at;
wire f_third_in = f_third[F_AT+:F_Q] == f_q && f_third_deep < f_q_count;
wire [F_WIDE-1:0] f_third_since = f_q_written - f_third_number;
wire [F_N-1:0] f_third_rest = f_q_count - f_third_deep;
// The same of another row as it is read.
wire f_first_read = f_of_read[F_WIDE];
wire f_mine_of_read = f_of_read[F_WIDE+1];
wire [F_WIDE-1:0] f_number_read = f_of_read[F_WIDE-1:0];
wire [F_WIDE-1:0] f_next_read = f_user_read[f_next*F_WIDE+:F_WIDE];
wire [F_WIDE-1:0] f_next_since = f_user_written[f_next*F_WIDE+:F_WIDE] - f_number_read;
wire [F_WIDE-1:0] f_next_oldest = f_next_read - (f_first_read ? 0 : 1);
wire [F_N-1:0] f_next_count = f_counts[f_next*F_N+:F_N];
wire f_next_comes = f_in && f_in_to == f_next;
always @(posedge clk) if (!rst && issue && read_address != beats_at_0) begin
    assume (f_first_read == ended && f_number_read == f_next_oldest);
    assume (oldest_last[f_next] == f_last_read);
    assume (f_next_since != 0 && f_next_since <= f_next_count);
    assume (!f_mine_of_read || f_frame && f_frame_of == f_next && f_number_read == f_frame_number && (!f_first_read || f_frame_stored));
    assume (f_first_read || f_mine_of_read == f_mine_open);
    if (f_next_count == 1) assume (f_last_read == !f_next_comes && f_next_since == 1 && (!f_next_comes || f_mine_of_read == f_frame_in));
    if (f_next == f_q && f_is_in[0] && f_first_0) assume (f_number_read != f_number_0);
end
wire [F_WIDE-1:0] f_frame_deep = f_frame_number - f_user_read[f_frame_of*F_WIDE+:F_WIDE];
wire [F_WIDE-1:0] f_newest_number = f_user_written[f_in_to*F_WIDE+:F_WIDE] - 1;
always @(posedge clk) if (!rst) begin
    numbers_are_of_what_waits: assert (f_numbers_hold[0]);
    numbers_before_are_of_what_waits: assert (f_numbers_hold[1]);
    newest_is_of_what_comes: assert (&f_newest_holds);
    if (f_is_in[0]) last_is_kept: assert (f_lasts_kept[f_q] == f_last_0);
    if (f_is_in[0] && f_deep == 0) last_of_oldest_is_known: assert (oldest_last[f_q] == f_last_0);
    if (f_is_in[0] && f_deep == 0) oldest_goes_on: assert (f_q_reads == !f_first_0 && f_number_0 == f_number_oldest && (f_first_0 || f_mine_0 == f_mine_open));
    if (f_is_in[0] && f_deep != 0) rows_are_in_order: assert (f_first_0 == f_last_1_before && f_number_0 == f_number_on && (f_first_0 || f_mine_0 == f_of_1_before[F_WIDE+1]));
    if (f_is_in[0] && f_mine_0) row_is_of_the_frame: assert (f_frame && f_frame_of == f_q && f_number_0 == f_frame_number && (!f_first_0 || f_frame_stored));
    if (f_third_in) third_is_of_what_waits: assert (f_third_since != 0 && f_third_since <= f_third_rest);
    if (f_third_in && f_is_in[0] && f_third_deep < f_deep && f_first_0) no_number_comes_again: assert (f_third_number != f_number_0);
    if (head_valid && f_mine_head) sideband_is_the_frames: assert (m_tuser[$bits(user_in)-1:0] == f_user);
    if (behind_valid && f_mine_behind) sideband_waits_behind: assert (behind[$bits(behind)-1-:$bits(user_in)] == f_user);
    if (read_valid && f_mine_read && !f_open_2) sideband_is_read: assert (users_q == f_user);
    if (f_open_2 && f_mine_gone) sideband_is_held: assert (user_held == f_user);
    if (read_valid && f_open_2) read_is_of_the_frame: assert (f_mine_read == f_mine_gone);
    if (f_frame_stored) sideband_waits_in_memory: assert (f_frame && users_at_0 == {f_frame_of, f_frame_number[F_AT-1:0]} && users_kept_0 == f_user && f_frame_deep < f_users[f_frame_of*F_N+:F_N]);
    if (f_frame_in) frame_comes: assert (f_frame && f_in && f_in_to == f_frame_of && f_frame_number == f_newest_number);
    followed_is_one: assert (f_frame || !(head_valid && f_mine_head || behind_valid && f_mine_behind || read_valid && f_mine_read || f_open_2 && f_mine_gone));
end
