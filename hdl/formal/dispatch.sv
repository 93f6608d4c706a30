// dispatch: a copy goes to its output whole or not at all, and the event of its end says which. What stands in front
// gives frames beat by beat, the output and whether the host's limit drops it the same in all of them, an ending with each last beat.
wire f_first = beat.first;
wire f_last = beat.last;
wire [3:0] f_port = meta.out_port;
reg f_open = 0;
reg [3:0] f_to = 0;
reg f_sent = 0;
reg f_valid = 0;
reg f_ended = 0;
reg f_error = 0;
reg f_was_sent = 0;
reg f_limited = 0;
reg f_was_limited = 0;
reg [3:0] f_was_to = 0;
reg [$bits(beat)-1:0] f_beat;
wire [$bits(room)-1:0] f_place = 1 << f_port;
wire f_taken = f_first ? |(room & f_place) & ~limited : f_sent;
always @(posedge clk) begin
    if (valid) assume (f_first == !f_open);
    if (valid && f_open) assume (f_port == f_to && limited == f_limited);
    assume (end_valid == (valid && f_last));
    f_valid <= valid & ~rst;
    f_beat <= beat;
    f_ended <= end_valid & ~rst;
    f_error <= ending.error;
    f_was_to <= f_port;
    f_was_sent <= f_taken;
    f_was_limited <= limited;
    if (rst) f_open <= 0;
    else if (valid) begin
        f_open <= ~f_last;
        f_to <= f_port;
        f_sent <= f_taken;
        f_limited <= limited;
    end
end
wire [$bits(push)-1:0] f_was_place = 1 << f_was_to;
always @(posedge clk) if (!rst) begin
    whole_or_not_at_all: assert (push == (f_valid && f_was_sent ? f_was_place : 0));
    if (f_valid) beat_as_it_was: assert (out == f_beat);
    every_end_is_an_event: assert (event_valid == f_ended);
    if (f_ended && !f_error) event_says_whether: assert (event_data.limited == f_was_limited && (f_was_limited || event_data.sent == f_was_sent));
    if (f_open) decision_is_kept: assert (taken_q == f_sent);
end
