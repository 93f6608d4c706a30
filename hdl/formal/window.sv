// window: of each frame's first 192 bytes the first 128 are given out once, as they came and zero past the frame's end, before the
// next frame begins; all of them have come to the frame's half of the memory by then, and stay there until the header path has
// read them, a row a clock. The arbiter lets frames begin CLOCKS_PER_HEADER clocks apart at least; every beat but a frame's last is full.
localparam F_BEATS = 192 / BUS_BYTES;
reg f_open = 0;
reg [7:0] f_n = 0; // beats of the frame so far, F_BEATS at most
reg [7:0] f_since = 255; // clocks since a frame began
// Any one beat of the window, the same for all time.
(* anyconst *) wire [3:0] f_which;
reg [8*BUS_BYTES-1:0] f_bytes = 0;
wire f_in_parts = f_which < F_BEATS / 3 * 2;
wire [8*BUS_BYTES-1:0] f_shown = {part1, part0} >> (f_which * (8 * BUS_BYTES));
// The last clock behind a header in which its first row is read (header/moved.rs); the others are each a clock behind.
localparam F_READ = 4;
// Of each half: that row, and clocks since a header of it was given out.
reg [8*BUS_BYTES-1:0] f_row [0:1];
reg [7:0] f_age0 = 255, f_age1 = 255;
wire f_keeps = kept_write & kept_row[3:0] == f_which;
reg f_complete = 1; // the window has all it gets
reg f_given = 1;
reg [7:0] f_length;
reg f_more;
wire f_starts = valid & first;
wire [7:0] f_at = first ? 0 : f_n;
wire f_completes = valid & (f_at < F_BEATS) & (beat.last | f_at == F_BEATS - 1);
always @(posedge clk) begin
    if (valid) assume (first == !f_open);
    if (valid) assume (beat.count <= BUS_BYTES && (beat.last || beat.count == BUS_BYTES));
    if (f_starts) assume (f_since >= CLOCKS_PER_HEADER - 1);
    f_since <= f_starts ? 0 : f_since + (f_since != 255);
    assume (f_which < F_BEATS);
    if (f_keeps) f_row[kept_row[4]] <= kept_data;
    if (valid && f_at == f_which) f_bytes <= beat.data;
    else if (f_starts) f_bytes <= 0;
    if (f_completes) begin
        f_length <= f_at * BUS_BYTES + beat.count;
        f_more <= ~beat.last;
    end
    if (rst) begin
        f_open <= 0;
        f_n <= 0;
        f_complete <= 1;
        f_given <= 1;
        f_since <= 255;
    end else begin
        if (valid) f_open <= ~beat.last;
        if (valid && f_at < F_BEATS) f_n <= f_at + 1;
        if (f_starts) f_given <= 0;
        else if (header_valid) f_given <= 1;
        if (f_completes) f_complete <= 1;
        else if (f_starts) f_complete <= 0;
    end
end
reg [7:0] f_since_header = 255; // clocks since a header was given out
reg [3:0] f_port;
reg [63:0] f_tag;
always @(posedge clk) begin
    f_age0 <= rst ? 255 : header_valid & ~header_half ? 0 : f_age0 + (f_age0 != 255);
    f_age1 <= rst ? 255 : header_valid & header_half ? 0 : f_age1 + (f_age1 != 255);
    f_since_header <= rst ? 255 : header_valid ? 0 : f_since_header + (f_since_header != 255);
    if (f_starts) f_port <= port;
    if (f_starts) f_tag <= tag;
end
always @(posedge clk) if (!rst) begin
    if (header_valid) given_once: assert (f_complete && !f_given);
    if (f_starts) given_before_the_next: assert (f_given || header_valid);
    if (header_valid && f_in_parts) as_it_came: assert (f_shown == f_bytes);
    if (header_valid && f_which * BUS_BYTES < length) kept_as_it_came: assert (f_row[header_half] == f_bytes);
    if (f_keeps) stays_until_it_is_read: assert ((kept_row[4] ? f_age1 : f_age0) >= F_READ - 1 + f_which);
    if (header_valid) length_is_its: assert (length == f_length && more == f_more);
    if (header_valid) sideband_is_its: assert (header_port == f_port && header_tag == f_tag);
    // So that it holds by induction.
    if (!f_given) collects: assert ((!f_in_parts || f_shown == f_bytes) && header_port == f_port && header_tag == f_tag);
    if (!f_given && f_which < f_n) keeps: assert (f_row[half] == f_bytes);
    if (!f_given && f_complete) length_is_of_its_beats: assert (f_length <= f_n * BUS_BYTES);
    if (!f_given) beats_take_clocks: assert (f_n != 0 && (f_since == 255 || f_n <= f_since + 1));
    if (!f_given) the_half_before_last_is_old: assert (f_since == 255 ? (half ? f_age1 : f_age0) == 255
        : (half ? f_age1 : f_age0) == 255 || (half ? f_age1 : f_age0) >= f_since + CLOCKS_PER_HEADER);
    the_half_before_is_older: assert ((half ? f_age0 : f_age1) == 255 || (half ? f_age0 : f_age1) >= f_since);
    if (!f_given && f_complete) length_is_kept: assert (length == f_length && more == f_more);
    if (!f_complete) open_until_complete: assert (f_open && !f_given && !header_valid);
    if (f_open) place_is_its: assert (next == f_n && f_n != 0 && f_n <= F_BEATS && (f_complete == (f_n == F_BEATS)));
    waits_for_the_gap: assert (waiting == (f_complete && !f_given && !header_valid));
    if (!f_given && !header_valid) gap_ends_in_time: assert (gap == 0 || gap + f_since < CLOCKS_PER_HEADER - 1);
    gap_is_short: assert (gap < CLOCKS_PER_HEADER);
    if (header_valid) headers_are_apart: assert (f_since_header >= CLOCKS_PER_HEADER - 1 && gap == CLOCKS_PER_HEADER - 1);
    else gap_is_what_is_left: assert (f_since_header + gap >= CLOCKS_PER_HEADER - 2);
end
