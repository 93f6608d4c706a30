// stream_fifo: words come out as they went in, each once, in order; a word that is offered stays until it is taken.
reg f_stalled = 0;
reg [$bits(out_data)-1:0] f_offered;
always @(posedge clk) begin
    f_stalled <= out_valid & ~out_ready & ~rst;
    f_offered <= out_data;
end

// Any one word is followed from where it enters to where it leaves.
(* anyseq *) wire f_choose;
wire f_push = in_valid & in_ready;
wire f_pop = out_valid & out_ready;
reg f_follows = 0;
reg [$bits(count)-1:0] f_ahead = 0;
reg [$bits(out_data)-1:0] f_word;
wire [$bits(read_at)-1:0] f_place = read_at + f_ahead;
wire [$bits(read_at)-1:0] f_behind = read_at + count;
wire [$bits(out_data)-1:0] f_there = rows[f_place];
wire [$bits(out_data)-1:0] f_next = rows[read_at];
always @(posedge clk) begin
    if (rst) f_follows <= 0;
    else if (f_follows) begin
        if (f_pop) begin
            if (f_ahead == 0) f_follows <= 0;
            f_ahead <= f_ahead - 1;
        end
    end else if (f_push & f_choose) begin
        f_follows <= 1;
        f_ahead <= count - f_pop;
        f_word <= in_data;
    end
end

always @(posedge clk) if (!rst) begin
    if (f_stalled) offer_stays: assert (out_valid);
    if (f_stalled) offered_data_stays: assert (out_data == f_offered);
    count_is_between_pointers: assert (write_at == f_behind);
    if (out_valid) offered_is_the_next: assert (out_data == f_next);
    if (f_follows) followed_is_inside: assert (f_ahead < count);
    if (f_follows) word_waits: assert (f_there == f_word);
    if (f_follows && f_ahead == 0 && out_valid) word_comes_out: assert (out_data == f_word);
end
